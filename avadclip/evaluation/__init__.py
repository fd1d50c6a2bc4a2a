"""Scores and ground truth -> metrics, under the authors' protocol (`released`) and ours (`strict`). Knows only arrays.

`joining` refuses what does not fit together, `timeline` puts it on one axis of snippets, `ranking`, `localisation` and
`alarms` count, `protocols` and `metrics` give the counts their names, `cuts` and `bootstrap` add intervals,
`assessment` is all that is said about one detector, and `evaluate` writes it down through `results` and `summary`.
Nothing here imports torch: a threshold is changed a hundred times a day, and loading torch takes longer than all this.
"""
