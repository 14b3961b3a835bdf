"""Routers: one file each. They choose a branch for each row, as INT32 `[rows]`.

Where no condition holds, the choice is the number of conditions: the branch without one, if there is any.
"""
