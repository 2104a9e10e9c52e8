"""AstroDrizzle: its seven steps as one lazy graph.

`planning` decides from headers, `measuring` finds what each exposure needs before any tile, `run`
has every image of every step, `recall` keeps what was measured for the next run, `writing` makes
the products.  All of them compose; the steps themselves stand in `hapdask.drizzling`.
"""
