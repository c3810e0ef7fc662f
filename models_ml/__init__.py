"""What learns: declarations of tasks, pipelines, training, scoring and the registry of versions.

Nothing here opens the warehouse, calls dbt or starts a flow: rows come and go as Arrow tables.
"""
