"""Prefect flows: the order in which things happen, and nothing else.

This package calls `warehouse` (the door to the database), `models_ml` (what learns) and dbt
(what derives). It computes no feature, no metric and no verdict. Importing it points every
library at the project's state folder and switches their telemetry off, before they are imported.
"""

import os

from warehouse.home import dbt_folder, prefect_folder

os.environ.setdefault("PREFECT_HOME", str(prefect_folder()))
os.environ.setdefault("DBT_TARGET_PATH", str(dbt_folder() / "target"))
os.environ.setdefault("DBT_LOG_PATH", str(dbt_folder() / "logs"))
os.environ.update(
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",  # a slow or busy machine
    PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY="false",
    PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS="false",
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_LOGGING_LEVEL="WARNING",
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",  # its job runners are not used, and cost a core
    GX_ANALYTICS_ENABLED="false",
    DBT_SEND_ANONYMOUS_USAGE_STATS="false",
)
