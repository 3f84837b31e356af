package io.github.gitopsrollback

/**
 * The shell script that builds and pushes an image, in one `sh`, with docker, podman or buildah.
 *
 * A build is run once; a push is tried three times. For docker the first run fills the cache, and pushing is a second run of
 * the same build: so it works for several platforms, and the digest is the one that buildx writes down.
 */
class BuildProgram implements Serializable {

    private static final long serialVersionUID = 1

    /** Returns the script; it has no value of a user in it. */
    String text() {
        return '''{ set +x; } 2>/dev/null
decode() { printf '%s' "$1" | base64 -d; }
{ IFS= read -r image; IFS= read -r context; IFS= read -r tool; IFS= read -r folder || :; } <<END
$(decode "$GITOPS_BUILD")
END
mkdir -p "$folder"

has_docker() { command -v docker >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; }
has() { command -v "$1" >/dev/null 2>&1; }
if [ -z "$tool" ]; then
  if has_docker; then tool=docker; elif has podman; then tool=podman; elif has buildah; then tool=buildah; fi
elif [ "$tool" = docker ]; then
  has_docker || tool=
else
  has "$tool" || tool=
fi
case $tool in docker | podman | buildah) ;; *) exit 96 ;; esac

log_in() {
  echo "logging in at $1" >&2
  printf '%s' "$3" | "$tool" login --username "$2" --password-stdin "$1" || exit 93
}
leave() { rm -rf "$folder/auth"; }
if [ -n "${REGISTRY_USERNAME:-}${DOCKERHUB_USERNAME:-}" ]; then
  mkdir -p "$folder/auth"
  trap leave EXIT
  trap 'leave; exit 143' INT TERM
  own="${DOCKER_CONFIG:-${HOME:-}/.docker}"
  for kept in cli-plugins contexts; do
    if [ -d "$own/$kept" ]; then ln -s "$own/$kept" "$folder/auth/$kept"; fi
  done
  export BUILDX_CONFIG="${BUILDX_CONFIG:-$own/buildx}"
  export DOCKER_CONFIG="$folder/auth" REGISTRY_AUTH_FILE="$folder/auth/auth.json"
  host=${image%%/*}
  case $host in *.* | *:* | localhost) ;; *) host=docker.io ;; esac
  if [ -n "${REGISTRY_USERNAME:-}" ]; then
    log_in "${REGISTRY_HOST:-$host}" "$REGISTRY_USERNAME" "$REGISTRY_PASSWORD"
  fi
  if [ -n "${DOCKERHUB_USERNAME:-}" ]; then
    log_in docker.io "$DOCKERHUB_USERNAME" "$DOCKERHUB_TOKEN"
  fi
fi
unset REGISTRY_PASSWORD DOCKERHUB_TOKEN GIT_PASSWORD

set --
revision=$(git -C "$context" rev-parse --verify --quiet HEAD 2>/dev/null || :)
if [ -n "$revision" ]; then set -- --label "org.opencontainers.image.revision=$revision"; fi
origin=$(git -C "$context" config --get remote.origin.url 2>/dev/null | sed 's,//[^/@]*@,//,' || :)
if [ -n "$origin" ]; then set -- "$@" --label "org.opencontainers.image.source=$origin"; fi
several=
while IFS= read -r line; do
  if [ "${last:-}" = --platform ]; then case $line in *,*) several=yes ;; esac; fi
  last=$line
  if [ -n "$line" ]; then set -- "$@" "$line"; fi
done <<END
$(decode "$GITOPS_BUILD_ARGUMENTS")
END

build_once() {
  while IFS= read -r line; do
    if [ -n "$line" ]; then set -- "$@" "$line"; fi
  done <<END
$(decode "$GITOPS_BUILD_ONCE")
END
  case $tool in
    docker) docker buildx build --tag "$image" "$@" "$context" ;;
    *)
      if [ -n "$several" ]; then
        "$tool" manifest rm "$image" >/dev/null 2>&1 || :
        "$tool" build --manifest "$image" "$@" "$context"
      else
        "$tool" build --tag "$image" "$@" "$context"
      fi
      ;;
  esac
}
push() {
  case $tool in
    docker) docker buildx build --tag "$image" --push --metadata-file "$folder/metadata.json" "$@" "$context" ;;
    *)
      if [ -n "$several" ]; then
        "$tool" manifest push --all --digestfile "$folder/digest" "$image" "docker://$image"
      else
        "$tool" push --digestfile "$folder/digest" "$image"
      fi
      ;;
  esac
}

build_once "$@" || exit 94
attempt=1
until push "$@"; do
  if [ "$attempt" -ge 3 ]; then exit 95; fi
  echo "pushing $image failed, attempt $attempt of 3" >&2
  sleep "$((attempt * ${GITOPS_PUSH_PAUSE:-5}))"
  attempt=$((attempt + 1))
done
'''
    }

}
