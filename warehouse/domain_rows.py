"""The two sides that a domain classifier tells apart: samples of a query's rows, with their folds.

Which rows are taken, and which fold a row falls in, are hashes of its key and of its unit, so a
comparison can be repeated row by row. Nothing here writes.
"""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from warehouse.connection import quoted

__all__ = ["SAMPLE_ROWS", "sample_side"]

SAMPLE_ROWS = 1_500


def sample_side(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    *,
    entity_key: Sequence[str],
    unit: Sequence[str],
    columns: Sequence[str],
    fold_count: int,
) -> pa.Table:
    """Return at most 1,500 rows of a query, chosen by the md5 of their key.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        The warehouse.
    query : str
        A whole query with as_of_date, the key, the unit and the columns.
    entity_key : sequence of str
        With as_of_date unique.
    unit : sequence of str
        Rows that agree in these columns get the same fold.
    columns : sequence of str
        The columns that are returned.
    fold_count : int
        Number of folds.

    Returns
    -------
    pyarrow.Table
        The columns, and ``fold``, 0 to `fold_count` - 1; ordered by the md5.
    """
    key = _joined((*entity_key, "as_of_date"))
    return connection.execute(
        f"""
        select
            {"".join(f"{quoted(name)}, " for name in columns)}
            cast(md5_number({_joined(unit)}) % {fold_count} as integer) as fold
        from ({query}) as side
        order by md5({key})
        limit {SAMPLE_ROWS}
        """
    ).to_arrow_table()


def _joined(columns: Sequence[str]) -> str:
    return f"concat_ws('|', {', '.join(map(quoted, columns))})"
