"""Proof of the judgement: error rates of the project's own decision SQL, measured on planted facts.

`python -m benchmarks.judgement --help`. Nothing here computes a statistic that the project decides
by: histories are planted, the real SQL models and the real policy judge them, and what came out is
counted beside what simpler rules would have done with the same rows.
"""
