"""One video -> what happens when, as `avadclip predict` writes it and the page shows it."""
