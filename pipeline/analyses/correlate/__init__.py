"""How each CRM factor goes with default, raw and given the controls."""
