"""mutate.py INPUT OUTPUT FROM TO: copies a source file with a mistake in it. Fails where there is no place for it."""

import os
import sys

source, output, right, wrong = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    text = file.read()
if right not in text:
    sys.exit(f"{source} has no place for the mistake: {right}")
os.makedirs(os.path.dirname(output), exist_ok=True)
with open(output, "w", encoding="utf-8") as file:
    file.write(text.replace(right, wrong))
