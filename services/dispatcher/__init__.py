"""The dispatcher: a segment in, a carrier's answer out.

Read `lane` first: one carrier's way from a delivery to an answer. `dispatch` asks for permits,
`claim` commits the intent, `sending` submits, `record` commits the answer, `park` and `schedule`
keep what must wait.
"""
