#!/bin/sh
# Print the path of a Python of a minor version that really runs; nothing if there is none: tools/find_python.sh 3.13
for candidate in "python$1" "$(command -v pyenv >/dev/null 2>&1 && pyenv root)"/versions/"$1".*/bin/python; do
    if "$candidate" -c "import sys; sys.exit(sys.version_info[:2] != tuple(map(int, '$1'.split('.'))))" 2>/dev/null; then
        command -v "$candidate"
        exit 0
    fi
done
