"""The paper's tables from records of results: measured, missing, expected by the paper. No torch."""
