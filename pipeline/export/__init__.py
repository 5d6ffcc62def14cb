"""The `export` command: finished datasets in formats that need no TensorFlow.

`formats` lists the formats; `parts` reads the dataset, `names` names the pictures, `stores` and `archives` keep them,
`tables` describe them, and `journal` records how far an export got.
"""
