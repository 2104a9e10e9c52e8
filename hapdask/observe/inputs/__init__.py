"""Whatever a user has in hand, as a plain list of files to open.

`expand.read_inputs` takes paths, patterns, addresses, pollers, associations and @lists;
`entry.Input` is what comes out.  Nothing here opens an exposure.
"""
