"""Scores and ground truth -> metrics, by the authors' protocol (`released`) and ours (`strict`). Works on arrays only.

`joining` refuses what does not fit together, `timeline` puts it on one axis of snippets, `ranking`, `localisation` and
`alarms` count, `protocols` and `metrics` give the counts their names, `resampling` adds intervals, `assessment` has all
results of one detector, and `evaluate` writes them through `results` and `summary`. Nothing here imports torch, because
thresholds are changed often and importing torch takes longer than the evaluation.
"""
