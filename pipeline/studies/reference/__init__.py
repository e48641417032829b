"""The reference study: simulated lenders whose true effects are known.

``generator.generate`` writes the raw tables as a lender's systems would hold them, and the truth in a folder
apart. Evidence about methods, never about the world.
"""
