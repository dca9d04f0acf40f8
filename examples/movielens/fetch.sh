#!/bin/sh
# Fetches MovieLens-small out of the Debian package r-cran-dslabs into a directory (default data/movielens).
# Needs apt-get and dpkg, but neither root nor R: the package is unpacked, not installed.
set -eu

target=${1:-data/movielens}

fail() {
  echo "fetch.sh: $1" >&2
  exit 1
}

for tool in apt-get dpkg; do
  command -v "$tool" >/dev/null 2>&1 || fail "expected $tool, found none: this is no Debian or Ubuntu.
Take ml-latest-small.zip from https://grouplens.org/datasets/movielens/ instead, unpack it, and give its directory
(the one with ratings.csv and movies.csv) to convert.ts."
done

cat >&2 <<'TERMS'
The ratings are GroupLens's (MovieLens, ml-latest-small). Their terms: research use; no commercial use without
permission; redistribution only under the same terms. So freshet does not ship them: this fetches your own copy.
See F. M. Harper and J. A. Konstan, The MovieLens Datasets, ACM TiiS 5(4), 2015, doi:10.1145/2827872.
TERMS

mkdir -p "$target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt drops root for the download where it can; its user must be able to write here.
chmod 755 "$work"
(cd "$work" && apt-get download r-cran-dslabs >"$work/apt.log" 2>&1) || {
  cat "$work/apt.log" >&2
  fail "apt-get found no package r-cran-dslabs: run 'sudo apt-get update' once, then this again.
On Ubuntu the package is in the component universe."
}
dpkg -x "$work"/r-cran-dslabs_*.deb "$work/package"
data="$work/package/usr/lib/R/site-library/dslabs/data"
[ -f "$data/Rdata.rdb" ] || fail "expected usr/lib/R/site-library/dslabs/data/Rdata.rdb in the package, found none:
this version lays its data out differently; use GroupLens's own CSV files."
cp "$data/Rdata.rdx" "$data/Rdata.rdb" "$target/"
cp "$work/package/usr/share/doc/r-cran-dslabs/copyright" "$target/copyright"
echo "$target"
