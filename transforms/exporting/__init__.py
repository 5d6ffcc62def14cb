"""Finished datasets as plain files: what the `export` command is made of.

`source` reads the dataset, `names` names the pictures, `stores` keep them, `tables` tell what is in them.
"""

FORMATS = ("zip", "folder", "coco")
