# Shared by the scripts: a virtual environment in .venv, made once and renewed when pyproject.toml changes.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "error: $*" >&2; exit 4; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "twofour needs Python 3.10 to 3.14, and none was found (python3 is $(python3 --version 2>&1 || echo missing)). Install one, or name it: PYTHON=/path/to/python $0"
}

# ensure_venv EXTRAS: .venv with twofour installed in place and these extras ("train,dev").
ensure_venv() {
    local extras=$1 python stamp=.venv/installed wanted
    wanted="$(cat pyproject.toml | sha256sum | cut -d' ' -f1) $PWD"
    if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$wanted" ] && grep -qx "$extras" "$stamp"; then
        return
    fi
    python=$(find_python)
    if ! .venv/bin/python -c '' 2>/dev/null; then
        "$python" -m venv --clear .venv || fail "$python can't make a virtual environment. On Debian: apt-get install python3-venv"
    fi
    echo "Installing twofour[$extras] into .venv (about two minutes the first time) ..." >&2
    if ! .venv/bin/python -m pip install --quiet --editable ".[$extras]" 2>.venv/install.log; then
        if grep -qiE 'connection (error|broken|refused|reset)|name resolution|failed to resolve|timed out|network is unreachable|max retries|from versions: none' .venv/install.log; then
            fail "pip can't reach the package index: check the network and run $0 again. Details: .venv/install.log"
        fi
        fail "the installation failed: $(grep -m 1 '^ERROR' .venv/install.log || tail -n 1 .venv/install.log) Details: .venv/install.log"
    fi
    if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$wanted" ]; then
        echo "$extras" >>"$stamp"
    else
        printf '%s\n%s\n' "$wanted" "$extras" >"$stamp"
    fi
}
