package io.github.gitopsrollback

/**
 * The shell script that builds and pushes an image, in one `sh`, with docker, podman or buildah.
 *
 * A build is run once; a push is tried three times. A password is sent to the host that it is for, and
 * to no other. For docker the first run fills the cache, and pushing is a second run of
 * the same build: so it works for several platforms, and the digest is the one that buildx writes down.
 */
class BuildProgram implements Serializable {

    private static final long serialVersionUID = 1

    /** Returns the script; it has no value of a user in it. */
    String text() {
        return adopt + '''
decode() { printf '%s' "$1" | base64 -d; }
{ IFS= read -r image; IFS= read -r context; IFS= read -r tool; IFS= read -r folder; IFS= read -r pushes || pushes=; } <<END
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
  # To docker a host that is empty is Docker Hub.
  [ -n "$1" ] || exit 91
  echo "logging in at $1" >&2
  printf '%s' "$3" | "$tool" login --username "$2" --password-stdin "$1" || exit 93
}
leave() { rm -rf "$folder/auth"; }
if [ "$pushes" != no ] && [ -n "${REGISTRY_USERNAME:-}${DOCKERHUB_USERNAME:-}" ]; then
  mkdir -p "$folder/auth"
  chmod 700 "$folder/auth"
  trap leave EXIT
  trap 'leave; exit 143' INT TERM HUP
  own="${DOCKER_CONFIG:-${HOME:-}/.docker}"
  adopt "$own" "$folder/auth"
  kept="${REGISTRY_AUTH_FILE:-${XDG_RUNTIME_DIR:-/nowhere}/containers/auth.json}"
  if [ -f "$kept" ]; then cat "$kept" >"$folder/auth/auth.json"; fi
  export BUILDX_CONFIG="${BUILDX_CONFIG:-$own/buildx}"
  export DOCKER_CONFIG="$folder/auth" REGISTRY_AUTH_FILE="$folder/auth/auth.json"
  # Each password goes to its own host, whatever the image names.
  if [ -n "${REGISTRY_USERNAME:-}" ]; then log_in "${REGISTRY_HOST:-}" "$REGISTRY_USERNAME" "$REGISTRY_PASSWORD"; fi
  if [ -n "${DOCKERHUB_USERNAME:-}" ]; then log_in docker.io "$DOCKERHUB_USERNAME" "$DOCKERHUB_TOKEN"; fi
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
if [ "$pushes" = no ]; then exit 0; fi
attempt=1
until push "$@"; do
  if [ "$attempt" -ge 3 ]; then exit 95; fi
  echo "pushing $image failed, attempt $attempt of 3" >&2
  sleep "$((attempt * ${GITOPS_PUSH_PAUSE:-5}))"
  attempt=$((attempt + 1))
done
'''
    }

    private final String adopt = '''{ set +x; } 2>/dev/null
# The agent's own configuration (proxies, helpers, other registries) is kept and added to, in a copy that is gone.
# What is added here stands in that copy, not in a helper's store: there it would outlive the build.
adopt() {
  for kept in cli-plugins contexts; do
    if [ -d "$1/$kept" ]; then ln -s "$1/$kept" "$2/$kept"; fi
  done
  [ -f "$1/config.json" ] || return 0
  if ! command -v python3 >/dev/null 2>&1; then
    echo "warning: without python3 the docker configuration of this agent, $1/config.json, is not used" >&2
    return 0
  fi
  python3 -I -c '
import json, os, sys
with open(os.path.join(sys.argv[1], "config.json")) as file:
    own = json.load(file)
for host in sys.argv[3:]:
    own.setdefault("credHelpers", {})[host] = ""
    own.get("auths", {}).pop(host, None)
for name, content in ("config.json", own), ("auth.json", {"auths": own.get("auths", {})}):
    with open(os.path.join(sys.argv[2], name), "w") as file:
        json.dump(content, file)
' "$1" "$2" ${REGISTRY_USERNAME:+"${REGISTRY_HOST:-}"} ${DOCKERHUB_USERNAME:+docker.io index.docker.io https://index.docker.io/v1/} || exit 92
}
'''

}
