"""Commands of ``avadclip`` that have a file of their own."""
