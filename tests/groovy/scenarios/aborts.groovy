// What an abort leaves: the branch is before or after, and the record of a rollback is archived.
import harness.World

scenario('a deploy aborted while it pushes leaves the branch before or after') { World world ->
    String before = world.tip()
    def build = world.step([agent: [PAUSE_GIT_AT: 'push'], abortOn: 'gitops-rollback deploy'], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(build.run.result, 'ABORTED')
    same((build.assigned.ABORT_MILLISECONDS as int) < 10_000, true)
    has(build.text, 'main is as before')
    same(world.tip(), before)
    same(build.archived().contains('gitops-rollback/default/cart/record.json'), true)
    same(build.run.keepLog, true)
    def next = world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(next.failure, null)
    same(world.image(), 'acme/cart:1.5.0@sha256:' + '2' * 64)
}

scenario('a deploy aborted after it pushed is done, and the next one finds nothing to do') { World world ->
    def build = world.step([agent: [PAUSE_GIT_AFTER: 'push'], abortOn: 'gitops-rollback deploy'], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(build.run.result, 'ABORTED')
    same(world.image(), 'acme/cart:1.5.0@sha256:' + '2' * 64)
    has(build.text, world.tip().substring(0, 7))
    same([build.archived().contains('gitops-rollback/default/cart/record.json'), build.run.keepLog], [true, true])
    String tip = world.tip()
    same(world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')").failure, null)
    same(world.tip(), tip)
    same(world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')").failure, null)
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
}

scenario('a rollback aborted while it pushes has archived its record') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    String before = world.tip()
    def build = world.step([job: 'ops/rollback', agent: [PAUSE_GIT_AT: 'push'], abortOn: 'gitops-rollback rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    same(build.run.result, 'ABORTED')
    same(world.tip(), before)
    same(World.archived(build, 'gitops-rollback/default/cart/record.json').action, 'rollback')
    new File(world.home, 'paused').delete()
    same(world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')").failure, null)
}

scenario('a rollback whose push the server refuses has archived its record') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    File hook = new File(world.remote, 'hooks/pre-receive')
    hook.text = '#!/bin/sh\necho "the branch is frozen" >&2\nexit 1\n'
    hook.executable = true
    def build = world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'the branch is frozen')
    same(World.archived(build, 'gitops-rollback/default/cart/record.json').action, 'rollback')
    same(World.archived(build, 'gitops-rollback/gitopsRollback-result.json').error.category, 'repository')
}

scenario('the command interrupted by others says where it stood') { World world ->
    world.tool('git', new File(world.tools, 'git').text.replace('sleep 20', 'kill -TERM $PPID; sleep 5'))
    def build = world.step([agent: [PAUSE_GIT_AT: 'push']], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'gitopsDeploy: interrupted: ')
    same(build.run.keepLog, true)
}

/** Stops a build at the first `git` word of a command, as a person does; each stage of both jobs ends so. */
void stopped(World world, String file, Map job, String label, String word, String image) {
    String tip = world.tip()
    new File(world.home, 'paused').delete()
    def build = world.jenkinsfile(job + [agent: [PAUSE_GIT_AT: word], abortOn: label], file)
    same([label, build.run.result, world.tip(), world.image()], [label, 'ABORTED', tip, image])
    has(World.title(build), 'interrupted: ')
    lacks(World.title(build), 'plan: ')
    same(build.frames, [])
}

scenario('a rollback job that is stopped in any of its stages says that it was, and the branch is as before') { World world ->
    same(world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')").failure, null)
    Map job = [job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'broken']]
    [['gitops-rollback plan', 'clone'], ['gitops-rollback record', 'clone'], ['gitops-rollback rollback', 'push']].each { label, word ->
        stopped(world, 'Jenkinsfile.rollback', job, label, word, World.NEW - 'docker.io/')
    }
    new File(world.home, 'paused').delete()
    def next = world.jenkinsfile(job, 'Jenkinsfile.rollback')
    same([next.failure, World.title(next)], [null, 'cart 1.5.0 → 1.4.2, held'])
}

scenario('a deploy job that is stopped in any of its stages deploys nothing, and the next run does') { World world ->
    world.fakePodman('sha256:' + 'a' * 64)
    Map job = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.5.0']]
    // the first command of a job asks before the build: the second of that name deploys
    [['gitops-rollback deploy', 'fetch'], ['gitops-rollback record', 'fetch']].each { label, word ->
        stopped(world, 'Jenkinsfile', job, label, word, World.OLD - 'docker.io/')
    }
    new File(world.home, 'paused').delete()
    def next = world.jenkinsfile(job, 'Jenkinsfile')
    same([next.failure, World.title(next)], [null, 'cart 1.4.2 → 1.5.0'])
}

scenario('an agent that is lost while a command runs: the build ends with that, says so, and the next one goes on') { World world ->
    same(world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')").failure, null)
    Map job = [job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'broken']]
    Set onAgent = ['sh', 'pwd', 'fileExists', 'readJSON', 'readFile', 'writeFile', 'deleteDir', 'archiveArtifacts'] as Set
    ['gitops-rollback plan', 'gitops-rollback record', 'gitops-rollback rollback'].each { label ->
        String tip = world.tip()
        boolean isLost = false
        def build = world.jenkinsfile(job + [beforeStep: { step ->
            if (step.name == 'sh' && step.arguments[0].label == label) {
                isLost = true
                throw new harness.FlowInterruptedException('Agent was removed')
            }
            if (isLost && step.name in onAgent) { throw new IOException('Unable to create live FilePath for agent-1') }
        }], 'Jenkinsfile.rollback')
        same([label, build.run.result, world.tip()], [label, 'ABORTED', tip])
        same(World.title(build), "interrupted: what ${label - 'gitops-rollback '} did is not known".toString())
        // what the dead agent has left is no fault of the build
        new File(build.workspace.path + '@tmp').listFiles().findAll { it.name.startsWith('gitops-rollback-') && it.name != 'gitops-rollback-helper' }*.deleteDir()
    }
    def next = world.jenkinsfile(job, 'Jenkinsfile.rollback')
    same([next.failure, World.title(next)], [null, 'cart 1.5.0 → 1.4.2, held'])
}

scenario('credentials that are not there: the build is titled with the reason, and nothing ran') { World world ->
    same(world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')").failure, null)
    String tip = world.tip()
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'broken'],
        env: [GITOPS_GIT_CREDENTIALS_ID: 'no-such'])
    same([build.run.result, build.shells, world.tip()], ['FAILURE', [], tip])
    has(World.title(build), 'failed: ')
    has(World.title(build), 'no-such')
}
