"""Lending Club, a US peer-to-peer platform."""
