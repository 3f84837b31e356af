// The harness itself: what a real Jenkins refuses must fail here too.
import harness.World

scenario('an unknown step fails the test') { World world ->
    world.allow('frobnicate')
    def build = world.build('node { frobnicate() }')
    same(build.run.result, 'FAILURE')
}

scenario('an unknown declarative directive fails the test') { World world ->
    def build = world.build([name: 'Jenkinsfile.test', library: false], '''pipeline { agent any
        triggerz { }
        stages { stage('x') { steps { echo 'x' } } } }''')
    same(build.run.result, 'FAILURE')
    has(build.failure, 'PipelineSection.triggerz()')
}

scenario('an assignment directly in steps fails the test') { World world ->
    def thrown = null
    try {
        world.build([name: 'Jenkinsfile.test', library: false], "pipeline { agent any\n stages { stage('x') { steps { x = pwd() } } } }")
    } catch (Throwable problem) {
        thrown = problem
    }
    has(thrown, "only calls can stand directly in 'steps'")
    world.builds.clear()
}

scenario('a value that cannot be saved fails the test') { World world ->
    if (world.controller.sandboxed) { return }
    world.allow('not serialisable')
    def build = world.build("def match = 'abc' =~ /b/\n echo 'x'\n echo(match.toString())")
    lacks(build.text, 'Finished: SUCCESS')
}

scenario('a closure given to sort fails the test') { World world ->
    if (world.controller.sandboxed) { return }
    world.allow('ArrayList.sort calls a closure')
    world.build('echo([3, 1, 2].sort { it }.toString())')
}

scenario('withEnv, dir, credentials and their masks reach the shell and end with their blocks') { World world ->
    def build = world.build('''node {
        withCredentials([usernamePassword(credentialsId: 'hub', usernameVariable: 'A', passwordVariable: 'B')]) {
            withEnv(['C=c $A \\u00fc']) { dir('sub') { sh script: 'echo "$C"; [ "${#B}" = 13 ]; echo "$B"', label: 'x' } }
        }
        sh script: 'echo "left: ${C:-none} ${B:-none}"', label: 'y'
    }''')
    same(build.failure, null)
    has(build.text, 'c acme ü')
    has(build.text, '****')
    has(build.text, 'left: none none')
}

scenario('what the sandbox refuses fails the test') { World world ->
    if (!world.controller.sandboxed) { return }
    ["new File('/etc/passwd')", "System.getenv('HOME')", "'ls'.execute()", "env['X']", '[3, 1].max()', "new ArrayList()",
     "new IllegalStateException('x')", 'currentBuild.rawBuild'].each { text ->
        def build = world.build("def x = ${text}\n echo 'done'")
        lacks(build.text, 'done')
        has(build.harnessErrors, 'not permitted')
        build.harnessErrors.clear()
    }
}

scenario('a secret that turns up in log, files or artifacts is found, encoded too') { World world ->
    ['echo "$B" | base64', 'printf %s "$B" >left', 'python3 -c "import os, urllib.parse as u; print(u.quote_plus(os.environ[\'B\']))"',
     'printf %s "$B" | base64 >"$HOME/left"'].each { leak ->
        def build = world.build("""node {
            withCredentials([usernamePassword(credentialsId: 'hub', usernameVariable: 'A', passwordVariable: 'B')]) {
                sh(label: 'x', script: \'\'\'${leak}\'\'\')
            }
        }""")
        same(build.failure, null)
        same([leak, build.leaks().size() > 0], [leak, true])
        world.builds.clear()
        world.folder.listFiles().findAll { it.name in ['builds', 'jobs', 'agent'] }.each { it.deleteDir() }
        world.home.mkdirs()
    }
}
