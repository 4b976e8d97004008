# The environment in which the Python package, the napari plugin and their tests are installed, under target/, which they share.
# To be sourced, with `root` set.
unset PYTHONPATH
environment=$root/target/python/tests
python=$environment/bin/python
# What a run leaves half made is made anew.
"$python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$environment"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_RETRIES=${PIP_RETRIES:-6} PIP_DEFAULT_TIMEOUT=${PIP_DEFAULT_TIMEOUT:-60}

# Installs packages. Most of their files are never imported, so none is compiled ahead. A network may fail for a moment.
install() {
    local command=("$python" -m pip install --quiet --no-compile "$@")
    "${command[@]}" || { sleep 15; "${command[@]}"; }
}

# Builds the packages in these folders anew and installs them, with nothing that they need.
install_ours() {
    local wheels
    wheels=$(mktemp -d "$root/target/python/wheels-XXXXXX")
    install "hatchling>=1.24"
    "$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$wheels" "$@"
    install --force-reinstall --no-deps "$wheels"/*.whl
    rm -rf "$wheels"
}

