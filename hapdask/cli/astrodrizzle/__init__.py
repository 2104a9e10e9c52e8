"""``hapdask astrodrizzle``: DrizzlePac's AstroDrizzle as one command.

`command` is the command, `options` what can be typed, `reading` what is made of it, `view` what is
shown.  Not here: what is then done (`hapdask.recipes.astrodrizzle`).
"""
