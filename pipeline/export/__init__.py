"""Finished datasets as plain files: what the `export` command is made of.

`parts` goes through the dataset, `names` names the pictures, `stores` and `archives` keep them, `journal` knows how far
an export got, `tables` tell what is in them.
"""
