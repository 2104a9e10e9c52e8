"""AstroDrizzle's and TweakReg's parameters that mean nothing here, each with its reason.

They are accepted, so that a DrizzlePac user's files and calls work, and reported.
"""

from __future__ import annotations

_NO_COPIES = "inputs are never modified, so none is copied or restored"
_NO_FILES = "no intermediate file is written unless it is asked for"

WITHOUT_MEANING = {
    "input": "the exposures are an argument of their own",
    "output": "the place of the products is an argument of their own",
    "runfile": "messages go to Python's logging; the command line shows them",
    "num_cores": "workers are chosen with Dask, or --workers",
    "in_memory": "memory is bounded by tiles, whatever is in them",
    "rules_file": "headers are blended by hapdask's own table of rules",
    "mdriztab": "presets by detector and number of exposures stand for MDRIZTAB",
    "updatewcs": "opening exposures with reference_files= adds a missing distortion",
    "wcsmap": "positions are mapped exactly",
    "editpars": "there is no editor of parameters",
    "configobj": "a .cfg file is given as the file of parameters",
    "restore": _NO_COPIES,
    "preserve": _NO_COPIES,
    "overwrite": _NO_COPIES,
    "clean": _NO_FILES,
    "driz_sep_compress": _NO_FILES,
    "combine_bufsize": "the median is made in tiles, sized by the number of exposures",
}

#: The same of TweakReg.
TWEAKREG_WITHOUT_MEANING = {
    "input": "the exposures are an argument of their own",
    "files": "the exposures are an argument of their own",
    "interactive": "nothing is asked while it runs: verdicts say why, and write() comes after",
    "verbose": "messages go to Python's logging; the report tells every attempt",
    "runfile": "messages go to Python's logging; the report tells every attempt",
    "editpars": "there is no editor of parameters",
    "configobj": "a .cfg file is given as the file of parameters",
    "updatewcs": "opening exposures with reference_files= adds a missing distortion",
    "refimagefindcfg": "sources of refimage are found as those of the exposures are",
    "hdrfile": "headerlets are named after their exposures: <root>_hlet.fits",
    "clobber": "whether files are replaced is an argument of writing (overwrite)",
}
