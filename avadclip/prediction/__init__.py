"""One video -> when something happens, and what: what `avadclip predict` writes and the page shows."""
