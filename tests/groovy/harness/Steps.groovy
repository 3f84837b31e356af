package harness

import groovy.json.JsonSlurperClassic

/** The leaf steps, done for real; a step that is not here fails the test. */
class Steps {
    final Build build

    Steps(Build build) { this.build = build }

    Object _enter(Request request) {
        build.frames << ([kind: request.arguments[0]] + frame(request.arguments[0], Request.plain(request.arguments[1])))
        return null
    }

    Object _leave(Request request) {  // the innermost block ends
        Map left = build.frames.remove(build.frames.size() - 1)
        left.files.each { new File(it).delete() }
        return null
    }

    Object sh(Request request) {
        Map options = request.named('script', ['label', 'returnStatus', 'returnStdout', 'encoding'])
        if (!(options.script instanceof String)) { throw new HarnessError('sh without a script') }
        if (request.arguments[0] instanceof GString || request.arguments[0] instanceof Map && request.arguments[0].script instanceof GString) {
            throw new HarnessError('sh with an interpolated script')
        }
        if (!options.label) { throw new HarnessError('sh without a label') }
        return new Shell(build).run(options)
    }

    Object echo(Request request) {
        request.named('message').message.toString().readLines().each { build.say(it) }
        return null
    }

    Object error(Request request) {
        throw new AbortException(request.named('message').message as String)
    }

    Object unstable(Request request) {
        build.say("WARNING: ${request.named('message').message}")
        build.run.result = 'UNSTABLE'
        return null
    }

    Object pwd(Request request) {
        build.directory()
        return request.named(null, ['tmp']).tmp ? build.directory().path + '@tmp' : build.directory().path
    }

    Object fileExists(Request request) { build.file(request.named('file').file).exists() }

    Object readFile(Request request) {
        File file = build.file(request.named('file', ['encoding']).file)
        if (!file.isFile()) { throw new AbortException("java.nio.file.NoSuchFileException: ${file}") }
        return file.getText('UTF-8')
    }

    Object writeFile(Request request) {
        Map options = request.named(null, ['file', 'text', 'encoding'])
        File file = build.file(options.file)
        file.parentFile.mkdirs()
        file.bytes = options.encoding == 'Base64' ? (options.text as String).decodeBase64() : (options.text as String).getBytes('UTF-8')
        return null
    }

    Object readJSON(Request request) {
        Map options = request.named(null, ['file', 'text', 'returnPojo'])
        if (!options.returnPojo) { throw new HarnessError('readJSON without returnPojo gives JSONNull for null') }
        String text = options.text
        if (options.file) {
            File file = build.file(options.file)
            if (!file.isFile()) { throw new AbortException("java.io.FileNotFoundException: ${file} does not exist.") }
            text = file.getText('UTF-8')
        }
        return serialisable(new JsonSlurperClassic().parseText(text))
    }

    Object writeJSON(Request request) {
        Map options = request.named(null, ['file', 'json', 'pretty'])
        File file = build.file(options.file)
        file.parentFile.mkdirs()
        file.setText(groovy.json.JsonOutput.toJson(options.json), 'UTF-8')
        return null
    }

    Object libraryResource(Request request) {
        Map options = request.named('resource', ['encoding'])
        File file = Controller.current.resource(options.resource)
        if (!file.isFile()) {
            throw new AbortException("No such library resource ${options.resource} could be found.")
        }
        return options.encoding == 'Base64' ? file.bytes.encodeBase64().toString() : file.getText('UTF-8')
    }

    Object library(Request request) {
        build.libraries << request.named('identifier', ['retriever', 'changelog']).identifier
        Controller.current.libraryLoaded = true
        return null
    }

    Object archiveArtifacts(Request request) {
        Map options = request.named('artifacts', ['allowEmptyArchive', 'fingerprint', 'excludes', 'onlyIfSuccessful'])
        File root = build.directory()
        List<File> files = Patterns.find(root, options.artifacts)
        if (!files && !options.allowEmptyArchive) {
            throw new AbortException("No artifacts found that match the file pattern \"${options.artifacts}\". Configuration error?")
        }
        if (build.isDiskFull) { throw new IOException('No space left on device') }
        build.say('Archiving artifacts')
        files.each { file ->
            File target = new File(build.artifacts, root.toPath().relativize(file.toPath()).toString())
            target.parentFile.mkdirs()
            target.bytes = file.bytes
        }
        return null
    }

    /** Jenkins knows the steps of the plugins it has, and no others. */
    Object needsPlugin(Request request) {
        if (!(request.arguments[1] in build.plugins)) {
            throw new NoSuchMethodError("No such DSL method '${request.arguments[0]}' found among steps [archiveArtifacts, …]")
        }
        return null
    }

    Object parallel(Request request) { Controller.current.branches(request.arguments[0] as Map) }

    Object deleteDir(Request request) {
        build.directory().deleteDir()
        return null
    }

    Object checkout(Request request) {
        if (build.scm == null || request.arguments != [build.scm]) { throw new HarnessError('checkout of something else than scm') }
        return fetched(build.scm.url, 'HEAD')
    }

    Object git(Request request) {
        Map options = request.named('url', ['branch', 'credentialsId', 'changelog', 'poll'])
        if (options.credentialsId && !build.credentials[options.credentialsId]) { throw new HarnessError('no such credentials') }
        return fetched(options.url, "refs/heads/${options.branch ?: 'master'}")
    }

    private Map fetched(String url, String ref) {
        File workspace = build.directory()
        File last = new File(build.jobFolder, 'last-commit')
        gitCommand(workspace.parentFile, 'init', '-q', workspace.path)
        gitCommand(workspace, 'config', 'remote.origin.url', url)
        gitCommand(workspace, 'fetch', '-q', 'origin', ref)
        gitCommand(workspace, 'checkout', '-q', '-f', 'FETCH_HEAD')
        Map result = [GIT_URL: url, GIT_COMMIT: gitCommand(workspace, 'rev-parse', 'HEAD').trim()]
        if (last.exists()) { result.GIT_PREVIOUS_COMMIT = last.text }
        last.text = result.GIT_COMMIT
        return result
    }

    private static String gitCommand(File place, String... arguments) {
        Process process = (['git', '-C', place.path] + arguments.toList()).execute()
        String output = process.text
        if (process.waitFor() != 0) { throw new HarnessError("git ${arguments}: ${process.err.text}") }
        return output
    }

    Object input(Request request) {
        Map options = request.named('message', ['ok', 'submitter', 'submitterParameter', 'id', 'parameters'])
        if (build.hasNode()) { throw new HarnessError('input while holding an executor') }
        if (build.answer == null) { throw new HarnessError("nobody answers: ${options.message}") }
        build.say("input: ${options.message}")
        Object submitter = build.answer.call(options)
        return options.submitterParameter ? submitter : null
    }

    Object usernamePassword(Request request) {
        request.named(null, ['credentialsId', 'usernameVariable', 'passwordVariable']) + ['$class': 'usernamePassword']
    }

    Object gitUsernamePassword(Request request) {
        request.named(null, ['credentialsId', 'gitToolName']) + ['$class': 'gitUsernamePassword']
    }

    Object file(Request request) {
        request.named(null, ['credentialsId', 'variable']) + ['$class': 'file']
    }

    Object string(Request request) {
        request.named(null, ['credentialsId', 'variable']) + ['$class': 'string']
    }

    /** Checks what a block step was given and says what it changes for its body. */
    private Map frame(String kind, Map given) {
        switch (kind) {
            case 'env':
                return [env: (given.overrides as List<String>).collectEntries { pair ->
                    int split = pair.indexOf('=')
                    if (split < 1) { throw new HarnessError("withEnv: '${pair}' is no NAME=value") }
                    [(pair.substring(0, split)): pair.substring(split + 1)]
                }]
            case 'secrets':
                return new CredentialBinding(build).bind(given.bindings)
            case 'lock':
                build.locks << given.resource
                return given
            case 'node':
                build.workspace.mkdirs()
                build.nodes++
                return given
            case 'dir':
                build.directory()
                build.say("Running in ${Build.resolve(build.directory(), given.path)}")
                return given
            default:
                return given
        }
    }

    private static Object serialisable(Object value) {
        switch (value) {
            case Map: return new LinkedHashMap(value.collectEntries { key, item -> [(key): serialisable(item)] })
            case List: return new ArrayList(value.collect { serialisable(it) })
            default: return value
        }
    }
}
