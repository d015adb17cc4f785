"""Change beside outcome: who is counted, and what small cohorts can and cannot say.

In: the tables of a run and ``outcomes.csv``. Out: the rows of ``cohort_tests.csv``, ``cohort_flow.csv`` and
``cohort_survival.csv``. Nothing is changed on the way: patients are joined by ``patient_id`` as written, and
who cannot be used is counted.
"""
