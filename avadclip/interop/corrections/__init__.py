"""From judged alarms to labels: ``corrections.csv``, which the page saves, changes the tables of a data set.

:mod:`avadclip.interop.corrections.decisions` says what each judgement does.
"""
