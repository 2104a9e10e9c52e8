"""``hapdask svm``: HAP's visit pipeline as one command.

`command` is the command, `options` what can be typed, `view` what is shown.  Not here: what is then
done (`hapdask.recipes.svm`).
"""
