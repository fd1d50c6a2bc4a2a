"""From a judged alarm back to a label: ``corrections.csv``, as the page saves it, changes the tables of a data set.

What each judgement does is told in :mod:`avadclip.interop.corrections.decisions`.
"""
