"""The regressions of default on each CRM factor, on all loans and on matched ones."""
