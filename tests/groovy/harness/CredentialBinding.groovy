package harness

import java.nio.file.Files
import java.nio.file.attribute.PosixFilePermissions

/** What `withCredentials` gives a body, what the log masks, and the files that are gone after it. */
class CredentialBinding {
    final Build build

    CredentialBinding(Build build) { this.build = build }

    Map bind(List<Map> bindings) {
        Map env = [:]
        List values = []
        List files = []
        bindings.each { binding ->
            Map credential = build.credentials[binding.credentialsId]
            if (credential == null) {
                throw new AbortException("Could not find credentials entry with ID '${binding.credentialsId}'")
            }
            switch (binding['$class']) {
                case 'usernamePassword':
                    env[binding.usernameVariable] = credential.username
                    env[binding.passwordVariable] = credential.password
                    values << credential.password
                    break
                case 'gitUsernamePassword':
                    if (binding.gitToolName != 'Default') { throw new HarnessError('no such git tool') }
                    files << askpass()
                    env.putAll(GIT_USERNAME: credential.username, GIT_PASSWORD: credential.password,
                        GIT_TERMINAL_PROMPT: 'false', GIT_ASKPASS: files.last())
                    values << credential.password
                    break
                case 'string':
                    env[binding.variable] = credential.secret
                    values << credential.secret
                    break
                case 'file':
                    File file = File.createTempFile('secret', '', build.folder)
                    file.text = credential.text
                    env[binding.variable] = file.path
                    files << file.path
                    break
                default:
                    throw new HarnessError("withCredentials: unknown binding ${binding}")
            }
        }
        return [env: env, values: values, files: files]
    }

    private String askpass() {
        File file = File.createTempFile('askpass', '.sh', build.folder)
        file.text = '''#!/bin/sh
case "$1" in
  Username*) printf '%s\\n' "$GIT_USERNAME" ;;
  Password*) printf '%s\\n' "$GIT_PASSWORD" ;;
esac
'''
        Files.setPosixFilePermissions(file.toPath(), PosixFilePermissions.fromString('rwx------'))
        return file.path
    }
}
