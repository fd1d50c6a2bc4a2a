"""Commands that are registered in :mod:`avadclip.cli`, one file per topic."""
