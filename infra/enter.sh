#!/bin/sh
# Gives the project's volume the code of this image, leaves its params.yaml, data and models alone, then runs the
# command there. Containers that share a volume take turns, and only another image's code is replaced.
set -eu
image=${EQUIPOISE_IMAGE:-/srv/equipoise}
project=${EQUIPOISE_PROJECT:?must name the folder of the project}
cd "$project"
(
    flock 9
    if ! cmp -s "$image/digest" .image; then
        for name in components flows dvc.yaml .dvcignore; do
            rm -rf ".new-$name"
            cp -R "$image/$name" ".new-$name"
            rm -rf "$name"
            mv ".new-$name" "$name"
        done
        [ -e params.yaml ] || cp "$image/params.yaml" params.yaml
        cp "$image/digest" .new-image
        mv .new-image .image
    fi
) 9> .image.lock
exec "$@"
