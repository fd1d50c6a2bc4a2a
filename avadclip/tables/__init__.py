"""The paper's tables from records of results: what is measured, missing, and expected by the paper. Without torch."""
