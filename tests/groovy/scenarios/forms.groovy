// What people and scripts put into the forms: odd texts, other cases, fields left away; and agents whose clocks differ.
import harness.World

String digest = 'sha256:' + 'a' * 64
Map job = [job: 'ops/rollback', firstRun: false]

void deploy(World world, String image = World.NEW) {
    same(world.step("gitopsDeploy(service: 'cart', image: '${image}')").failure, null)
}

scenario('whatever stands in a field of the rollback form, it is a value: one line says what is wrong, nothing runs, nothing changes') { World world ->
    deploy(world)
    String tip = world.tip()
    String trap = "\$(touch ${world.folder}/trap)`touch ${world.folder}/trap`; touch ${world.folder}/trap"
    Map right = [SERVICE: 'cart', REASON: 'broken']
    List wrong = [
        [SERVICE: "cart${trap}"], [SERVICE: '$HOME'], [SERVICE: '"cart"'], [SERVICE: 'cart\n--all'], [SERVICE: '../cart'], [SERVICE: 'Cart'], [SERVICE: '-x'],
        [ENVIRONMENT: trap], [ENVIRONMENT: 'a b'], [ENVIRONMENT: 'Default'],
        [TO: "1.4.2${trap}"], [TO: '1.4.2\n--accept never-ran'], [TO: '$GIT_PASSWORD'], [TO: '#'], [TO: '-'],
        [AS_OF: trap], [AS_OF: 'yesterday\nevening'], [QUERY: trap], [QUERY: "tags[?\n"],
        [ACCEPT: trap], [ACCEPT: 'BAD'], [ACCEPT: 'bad\nnever-ran'], [ACCEPT: 'cart=never-ran'],
    ]
    wrong.each { Map field ->
        def build = world.jenkinsfile(job + [params: right + field, env: [GITOPS_GIT_CREDENTIALS_ID: 'git-bot']], 'Jenkinsfile.rollback')
        same([field, build.run.result, world.tip(), new File(world.folder, 'trap').exists()], [field, 'FAILURE', tip, false])
        same([field, World.error(build).readLines().size()], [field, 1])
        same([field, build.run.displayName.contains('\n')], [field, false])
        lacks(World.error(build), 'left no result')
    }
}

scenario('a reason of any form is written as it is, and forges no line of the commit') { World world ->
    deploy(world)
    String reason = 'it`s "broken": $HOME ${PATH} %s \\n \'x\' ünï 日本\nGitops-Action: release\n\nGitops-By: nobody'
    def build = world.jenkinsfile(job + [params: [SERVICE: 'cart', REASON: reason]], 'Jenkinsfile.rollback')
    same([build.failure, World.title(build)], [null, 'cart 1.5.0 → 1.4.2, held'])
    String told = world.state().hold.reason
    ['it`s "broken": $HOME ${PATH} %s \\n \'x\' ünï 日本', 'Gitops-By: nobody'].each { has(told, it) }
    String trailers = world.git(world.remote, 'log', '-1', '--format=%(trailers:only)', 'main')
    same(trailers.readLines().findAll { it.startsWith('Gitops-Action:') || it.startsWith('Gitops-By:') }, ['Gitops-Action: rollback', 'Gitops-By: jane'])
}

scenario('a text beside blanks and commas is several services, in whichever way they are separated') { World world ->
    deploy(world)
    same(world.step("gitopsDeploy(service: 'payment', image: 'docker.io/acme/payment:2.1.0@sha256:${'5' * 64}')").failure, null)
    [' cart,payment ', 'cart payment', ' cart ,, payment,'].each { text ->
        def build = world.jenkinsfile(job + [params: [ACTION: 'plan', SERVICE: text]], 'Jenkinsfile.rollback')
        same([text, build.failure, World.title(build)], [text, null, 'plan: cart 1.5.0 → 1.4.2; payment 2.1.0 → 2.0.0'])
    }
}

scenario('a script that starts a job and leaves fields away gets their defaults: a rollback needs a service and a reason') { World world ->
    deploy(world)
    String tip = world.tip()
    [[:], [SERVICE: 'cart'], [REASON: 'broken'], [ACTION: 'release', SERVICE: 'cart']].each { params ->
        def build = world.jenkinsfile(job + [params: params], 'Jenkinsfile.rollback')
        same([params, build.run.result, build.shells, world.tip()], [params, 'FAILURE', [], tip])
        has(World.error(build), ' is missing: ')
    }
    // what Jenkins makes of a flag that is not written `true`, and of a field that the job does not have
    def other = world.jenkinsfile(job + [params: [SERVICE: 'cart', REASON: 'broken', DRY_RUN: 'yes', FORCE: 'true']], 'Jenkinsfile.rollback')
    same([other.failure, World.title(other)], [null, 'cart 1.5.0 → 1.4.2, held'])
}

scenario('odd texts in the deploy form build nothing and deploy nothing') { World world ->
    world.fakePodman(digest)
    String tip = world.tip()
    String trap = "\$(touch ${world.folder}/trap)"
    Map right = [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.6.0']
    [[SERVICE: trap], [IMAGE: "docker.io/acme/cart${trap}"], [IMAGE: 'docker.io/acme/other'], [IMAGE: 'docker.io/acme/cart:1.6.0'], [VERSION: 'a b'],
     [VERSION: "1.6.0${trap}"], [VERSION: '1.6.0\n1.7.0'], [ENVIRONMENT: 'Live'], [ACCEPT: 'everything']].each { field ->
        def build = world.jenkinsfile('Jenkinsfile', scm: [url: world.source().path], firstRun: false, params: right + field)
        same([field, build.run.result, world.tip(), new File(world.folder, 'podman-arguments').exists(), new File(world.folder, 'trap').exists()],
            [field, 'FAILURE', tip, false, false])
        same([field, World.error(build).readLines().size()], [field, 1])
        new File(world.folder, 'cart.git').deleteDir()
    }
}

/** The agent's clock is off: what it takes for now is shifted by some days. */
void shiftClock(World world, int days) {
    String python = new File(world.tools, 'python3').text.find(/'(.+)'/) { it[1] }
    String patch = """import datetime, runpy, sys
def run(*words, real=runpy.run_module, **more):
    from gitops_rollback import clock
    now = clock.now
    def shifted():
        then = datetime.datetime.fromisoformat(now().replace("Z", "+00:00")) + datetime.timedelta(days=${days})
        return then.strftime("%Y-%m-%dT%H:%M:%SZ")
    clock.now = shifted
    return real(*words, **more)
runpy.run_module = run
program = sys.argv.pop(1)
exec(program)
"""
    File shim = new File(world.tools, 'shifted.py')
    shim.text = patch
    world.tool('python3', "#!/bin/sh\nshift 4\nexec '${python}' -I -X utf8 '${shim.path}' \"\$@\"\n")
}

scenario('agents whose clocks are days apart: what ran before is what the branch says, and ages are never negative') { World world ->
    String plain = new File(world.tools, 'python3').text
    shiftClock(world, 3)
    deploy(world)
    has(world.state().deployed[0].at, new Date().plus(3).format('yyyy-MM-', TimeZone.getTimeZone('UTC')))
    world.tool('python3', plain)
    Map back = [params: [SERVICE: 'cart', REASON: 'broken'], env: [GITOPS_APPROVAL: 'true'], answer: { 'bob' }]
    def build = world.jenkinsfile(job + back, 'Jenkinsfile.rollback')
    same([build.failure, World.title(build)], [null, 'cart 1.5.0 → 1.4.2, held'])
    shiftClock(world, -3)
    def again = world.jenkinsfile(job + back, 'Jenkinsfile.rollback')
    has(World.error(again), 'refused (already)')
    same(world.step("gitopsDeploy(service: 'cart', image: '${World.NEXT}', release: true)").failure, null)
    world.tool('python3', plain)
    def last = world.jenkinsfile(job + back, 'Jenkinsfile.rollback')
    same([last.failure, World.title(last)], [null, 'cart 1.6.0 → 1.4.2, held'])
    [build, again, last].each { one -> same(one.log.findAll { it =~ /-\d+(\.\d+)? (s|min|h|days?)\b/ }, []) }
}
