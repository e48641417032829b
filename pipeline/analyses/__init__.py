"""One folder an analysis: rows from loans, and the chapter of the report that shows them.

``rows.py`` takes the cohort and the protocol and gives rows of the results table; it reads and writes no file.
``page.py``, where the rows want words, figures and tables of their own, offers

* ``blocks(page)``: yield the chapter's blocks of Markdown, from the heading on, by the page's own means
  (`Page.text`, `Page.show_figure`, `Page.show_table`);
* ``drawings(results, words, scope)``: what to draw, by name of the figure: a function and its choices, as
  `figures.draw` takes them after the words;
* ``summary(page)``, if anything of it belongs in the report's summary: the blocks that stand there.

Its words stand beside it, in ``words.<language>.yaml``: for each figure what is seen (``messages``, by rule from the
rows) and what is drawn (``figures``). A chapter appears where its stage has written rows.
"""
