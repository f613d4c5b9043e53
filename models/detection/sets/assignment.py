"""The cheapest assignment of boxes to queries (the Hungarian method, by shortest augmenting paths)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def cheapest(cost: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Give each row a column of its own, so that the sum of costs is the least that can be.

    The method is that of Jonker and Volgenant (1987): rows are entered one by one, each along the cheapest path of
    changes to what those before it have.

    Args:
        cost: finite [rows, columns], not more rows than columns.

    Returns:
        the column of each row.

    >>> cheapest(np.array([[1.0, 2.0, 9.0], [1.0, 4.0, 9.0]])).tolist()
    [1, 0]
    """
    cost = np.asarray(cost, np.float64)
    rows, columns = cost.shape
    assert rows <= columns, "every row needs a column"
    of_row, of_column = np.full(rows, -1), np.full(columns, -1)
    price_row, price_column = np.zeros(rows), np.zeros(columns)
    for entered in range(rows):
        distance, via = np.full(columns, np.inf), np.full(columns, -1)
        done_columns, done_rows = np.zeros(columns, bool), np.zeros(rows, bool)
        row, reached = entered, 0.0
        while True:
            done_rows[row] = True
            further = reached + cost[row] - price_row[row] - price_column
            nearer = ~done_columns & (further < distance)
            distance[nearer], via[nearer] = further[nearer], row
            column = int(np.where(done_columns, np.inf, distance).argmin())
            reached = distance[column]
            done_columns[column] = True
            if of_column[column] < 0:
                break
            row = int(of_column[column])
        price_column[done_columns] -= reached - distance[done_columns]
        done_rows[entered] = False
        price_row[entered] += reached
        price_row[done_rows] += reached - distance[of_row[done_rows]]
        while True:  # back along the path
            row = int(via[column])
            of_column[column] = row
            of_row[row], column = column, int(of_row[row])
            if row == entered:
                break
    return of_row
