// How the command reaches an agent, and what happens where it cannot.
import harness.World

/** What the library says of itself: version, and the sha256 of each archive. */
Map delivered(World world) {
    world.controller.resource('io/github/gitopsrollback/helper.properties').readLines().collectEntries { it.tokenize('=') }
}

/** Both archives as an order to an agent names them. */
List archives(World world) {
    Map sums = delivered(world)
    [[package: 'gitops-rollback.tar', lacks: 1], [dependencies: 'dependencies.tar.gz', lacks: 2]].collect { Map one ->
        String name = one.keySet()[0]
        [file: world.controller.resource("io/github/gitopsrollback/${one[name]}").path, sha256: sums[name], lacks: one.lacks]
    }
}

String step(String more = '') { "gitopsRecordImage(service: 'cart'${more})" }

scenario('an empty agent gets the command once, the next build finds it') { World world ->
    def first = world.step([agent: [GITOPS_HELPER_HOME: null]], step())
    same(first.failure, null)
    same(first.shells, ['gitops-rollback record'] * 2)
    List found = new File(world.home, '.cache/gitops-rollback').list()
    Map delivered = delivered(world)
    same(found.toList().sort(), [delivered.package, delivered.dependencies].sort())
    def second = world.step([agent: [GITOPS_HELPER_HOME: null]], step())
    same(second.failure, null)
    same(second.shells, ['gitops-rollback record'])
    same(second.steps.any { it.name == 'writeFile' }, false)
}

scenario('a home that cannot be written: the command is kept beside the workspace') { World world ->
    File home = new File(world.folder, 'file')
    home.text = 'no folder'
    def first = world.step([agent: [GITOPS_HELPER_HOME: null, HOME: home.path]], step())
    same(first.failure, null)
    def second = world.step([agent: [GITOPS_HELPER_HOME: null, HOME: home.path]], step())
    same(second.failure, null)
    same(second.shells.size(), 1)
}

scenario('no HOME at all is no obstacle') { World world ->
    def build = world.step([agent: [GITOPS_HELPER_HOME: null, HOME: null]], step())
    same(build.failure, null)
}

scenario('builds that unpack at once all run, and leave one copy') { World world ->
    String script = world.step(step()).steps.find { it.name == 'sh' }.arguments[0].script
    Map delivered = delivered(world)
    File home = new File(world.folder, 'fresh')
    List<Process> all = (1..6).collect { number ->
        Map order = [command: 'services', options: [GITOPS_REPOSITORY: world.remote.path], output: "${world.folder}/${number}/result.json".toString(), archives: archives(world),
                     fallback: "${world.folder}/fallback".toString(), version: delivered.version, installed: false]
        ProcessBuilder builder = new ProcessBuilder('sh', '-e', '-c', script).redirectErrorStream(true)
        builder.environment().putAll(GITOPS_ORDER: groovy.json.JsonOutput.toJson(order), GITOPS_OUTPUT: order.output, GITOPS_HELPER_HOME: home.path)
        builder.start()
    }
    List<String> said = all*.text
    same([all*.waitFor().unique(), said], [[0], said])
    same(home.list().toList().sort(), [delivered.package, delivered.dependencies].sort())
}

scenario('an agent that has the dependencies gets the package alone') { World world ->
    File home = new File(world.folder, 'fresh')
    same(world.step([agent: [GITOPS_HELPER_HOME: home.path]], step()).failure, null)
    new File(home, delivered(world).package).deleteDir()
    def build = world.step([agent: [GITOPS_HELPER_HOME: home.path]], step())
    same(build.failure, null)
    same(build.steps.findAll { it.name == 'writeFile' }.collect { it.arguments[0].file.tokenize('/')[-1] }, ['gitops-rollback.tar'])
}

scenario('an unpacked copy that lost a file is unpacked anew') { World world ->
    File home = new File(world.folder, 'fresh')
    same(world.step([agent: [GITOPS_HELPER_HOME: home.path]], step()).failure, null)
    File lost = new File(home, "${delivered(world).dependencies}/yaml/scanner.py")
    same(lost.delete(), true)
    same(world.step([agent: [GITOPS_HELPER_HOME: home.path]], step()).failure, null)
    same(lost.length() > 0, true)
}

scenario('an archive that arrives damaged is refused') { World world ->
    def build = world.step([agent: [GITOPS_HELPER_HOME: new File(world.folder, 'fresh').path], beforeStep: { step ->
        if (step.name == 'sh') {
            new File(world.folder, 'jobs').eachFileRecurse { if (it.name == 'gitops-rollback.tar') { it << 'x' } }
        }
    }], step())
    same(World.error(build), 'gitopsRecordImage: the command reached this agent damaged (run the build again; in a fork of the library: make helper)')
    same(new File(world.folder, 'fresh').exists() && new File(world.folder, 'fresh').list().size() > 0, false)
}

scenario('an agent without python3 says so in one line') { World world ->
    File bare = new File(world.folder, 'bare')
    bare.mkdirs()
    ['sh', 'mkdir', 'git', 'env', 'cat', 'printf'].each { name ->
        ['ln', '-s', "which ${name}".execute().text.trim(), new File(bare, name).path].execute().waitFor()
    }
    def build = world.step([agent: [PATH: bare.path]], step())
    same(World.error(build), 'gitopsRecordImage: this agent has no python3 ' +
        '(install python3 3.11 or newer on it; Debian: apt-get install python3; Alpine: apk add python3)')
}

scenario('an agent with an old python3 says so in one line') { World world ->
    String real = 'which python3'.execute().text.trim()
    world.tool('python3', """#!/bin/sh
# the same interpreter, which believes to be older
for last; do :; done
exec ${real} -I -c 'import sys
sys.version_info = (3, 9, 2)
exec(compile(sys.argv[1], "-c", "exec"))' "\$last"
""")
    def build = world.step(step())
    has(World.error(build), 'gitopsRecordImage: the python3 of this agent is 3.9, older than 3.11 (install python3 3.11 or newer')
}

scenario('a command that dies leaves one line that says so') { World world ->
    world.tool('git', '#!/bin/sh\nkill -KILL $PPID\n')
    def build = world.step(step())
    same(World.error(build), 'gitopsRecordImage: the command ended with exit code 137 and left no result; what it said is above' +
        ' (run the step again: what is done already is not done twice)')
}

scenario('an installed command of the same version is used where that is wanted') { World world ->
    String version = delivered(world).version
    world.tool('gitops-rollback', """#!/bin/sh
if [ "\$1" = --version ]; then echo "gitops-rollback ${version}"; exit; fi
echo "installed: \$*" >&2
printf '{"schemaVersion": 1, "records": []}' >"\$3"
""")
    has(world.step(step(', useInstalled: true')).text, 'installed: record --output ')
    has(world.step([env: [GITOPS_USE_INSTALLED: 'true']], step()).text, 'installed: record --output ')
    lacks(world.step(step()).text, 'installed: ')
    world.tool('gitops-rollback', '#!/bin/sh\necho gitops-rollback 0.0.1\n')
    same(world.step(step(', useInstalled: true')).archived().size() > 0, true)
}

scenario('the shell sees the command only: its options are in no argument and no script') { World world ->
    def build = world.step([env: [GITOPS_GIT_CREDENTIALS_ID: 'git-bot', GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api',
                                  GITOPS_DOCKERHUB_CREDENTIALS_ID: 'hub', GITOPS_REGISTRY_CREDENTIALS_ID: 'registry', GITOPS_REGISTRY_HOST: 'registry.example.org']],
        "gitopsDeploy(service: 'cart', image: '${World.NEW}', reason: 'unmistakable')")
    same(build.failure, null)
    String arguments = new File(build.folder, 'arguments').text
    has(arguments, 'python3')
    lacks(arguments, 'unmistakable')
    lacks(arguments, '1.5.0')
    build.secrets.each { lacks(arguments, it) }
    build.steps.findAll { it.name == 'sh' }.each { lacks(it.arguments, 'unmistakable') }
}
