package io.github.gitopsrollback

/**
 * Builds an image with what the agent has, pushes it, and reads the digest that the tool itself wrote down.
 *
 * What the author of a Dockerfile may write anywhere (a `$`, an umlaut) reaches the shell as base64 in the environment, one
 * argument a line, and is never part of a script.
 */
class ImageBuild implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run

    /** @param run the step's run */
    ImageBuild(StepRun run) {
        this.run = run
    }

    /** Builds and pushes; returns `{image}` with its digest. What is not pushed has none, and no credentials are bound for it. */
    Map build() {
        Map values = run.values
        String image = "${values.image}"
        if (image.contains('@')) {
            run.script.error("${run.step}: the image to build has a tag, not a digest: ${image}")
        }
        boolean isPushed = values.push == null || new Settings(run.script).truth('push', values.push, '', true)
        int code = 0
        List<String> variables = [
            "GITOPS_BUILD=${lines([image, values.context ?: '.', values.tool ?: '', run.folder, isPushed ? 'yes' : 'no'])}",
            "GITOPS_BUILD_ARGUMENTS=${lines(arguments(values))}", "GITOPS_BUILD_ONCE=${lines(once(values))}",
        ]
        run.script.withEnv(variables) {
            new Secrets(run.script).bind(values, isPushed ? ['dockerHub', 'registry'] : []) {
                code = run.script.sh(label: 'gitops-rollback build', script: new BuildProgram().text(), returnStatus: true)
            }
        }
        if (code != 0) {
            run.page.show([title: "failed: ${problem(code)}".toString(), about: []])
            run.script.error("${run.step}: ${problem(code)}")
        }
        return [image: isPushed ? "${image}@${digest()}".toString() : image]
    }

    private String digest() {
        String metadata = "${run.folder}/metadata.json"
        String found = run.script.fileExists(metadata) ?
            run.script.readJSON(file: metadata, returnPojo: true)['containerimage.digest'] :
            run.script.readFile(file: "${run.folder}/digest").trim()
        if (!found || !found.startsWith('sha256:')) {
            run.script.error("${run.step}: the tool pushed the image but named no digest (see its words above)")
        }
        return found
    }

    private String problem(int code) {
        Map known = [
            91: 'REGISTRY_USERNAME and REGISTRY_PASSWORD are set, and nothing says for which host (set REGISTRY_HOST, or give registryHost)',
            92: 'the docker configuration of this agent cannot be read (its words are above; DOCKER_CONFIG names the folder)',
            93: 'logging in at the registry failed (check the credentials that registryCredentialsId or dockerHubCredentialsId name)',
            94: 'building the image failed (its output is above)',
            95: 'pushing the image failed three times (its output is above; may these credentials push there?)',
            96: 'this agent has none of docker with buildx, podman and buildah (install one; Debian: apt-get install buildah)',
        ]
        return known[code] ?: "building ended with exit code ${code} (its output is above)"
    }

    /** What both builds and pushes of docker are given, and the one build of the others. */
    private List<String> arguments(Map values) {
        List<String> found = ['--label', "org.opencontainers.image.title=${values.service}".toString()]
        String tag = "${values.image}".tokenize('/').last()
        if (tag.contains(':')) {
            found += ['--label', "org.opencontainers.image.version=${tag.tokenize(':').last()}".toString()]
        }
        for (key in ['revision', 'source', 'created']) {
            if (values[key]) {
                found += ['--label', "org.opencontainers.image.${key}=${values[key]}".toString()]
            }
        }
        found += pairs('--label', values.labels) + pairs('--build-arg', values.buildArgs)
        String dockerfile = values.dockerfile ?: "${values.context ?: '.'}/Dockerfile"
        found += ['--file', dockerfile]
        if (values.target) {
            found += ['--target', values.target]
        }
        if (values.platforms) {
            found += ['--platform', new Parameters(run.script, run.step).text(values.platforms)]
        }
        return found + each('--cache-from', values.cacheFrom)
    }

    /** What only the build itself is given. */
    private List<String> once(Map values) {
        List<String> found = each('--cache-to', values.cacheTo)
        if (values.noCache) {
            found += ['--no-cache']
        }
        return values.pull ? found + ['--pull'] : found
    }

    private List<String> each(String option, Object given) {
        List<String> found = []
        List all = given instanceof List ? given : [given]
        for (one in all) {
            if (one) {
                found += [option, "${one}".toString()]
            }
        }
        return found
    }

    private List<String> pairs(String option, Object given) {
        List<String> found = []
        Map all = given ?: [:]
        for (entry in all) {
            found += [option, "${entry.key}=${entry.value}".toString()]
        }
        return found
    }

    private String lines(List<String> texts) {
        for (text in texts) {
            if ("${text}".contains('\n')) {
                run.script.error("${run.step}: a line break cannot be part of ${"${text}".tokenize('\n').first()}…")
            }
        }
        return Base64.encoder.encodeToString(texts.join('\n').getBytes('UTF-8'))
    }

}
