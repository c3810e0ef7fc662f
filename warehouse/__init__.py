"""The door to the database: opening, recording, reading, writing and publishing.

Owns every connection to DuckDB and all DDL of the schemas `raw`, `quarantine` and `recorded`. It
must not import prefect or models_ml, load a model version, or compare metrics. What SQL can derive
is derived in `dbt_project/`.
"""
