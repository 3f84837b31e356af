// The examples, as they are.
import harness.HarnessError
import harness.JobDsl
import harness.World

Map environment = [LIBRARY_URL: 'https://git.example.com/library.git', LIBRARY_BRANCH: 'v1', SERVICES: 'cart,payment',
                   IMAGE_REPOSITORY: 'docker.io/acme/{service}', SOURCE_URL: 'https://git.example.com/{service}.git']

scenario('the Job DSL of the examples makes the folders and jobs that jobs install makes') { World world ->
    Map jobs = JobDsl.run(new File(world.controller.root, 'examples/jenkins/jobs.groovy'), environment)
    same(jobs.keySet().toList(), ['shop', 'ops', 'shop/cart', 'shop/payment', 'ops/rollback', 'ops/drill'])
    same(['shop/cart', 'ops/rollback', 'ops/drill'].collect { jobs[it].find('cpsScm').value('scriptPath') }, ['Jenkinsfile', 'Jenkinsfile.rollback', 'Jenkinsfile.drill'])
    ['shop/cart', 'ops/rollback', 'ops/drill'].each { job ->
        same(jobs[job].find('remote').value('url'), environment.LIBRARY_URL)
        same(jobs[job].find('git').value('branch').toString(), '*/v1')
        same(new File(world.controller.root, jobs[job].find('cpsScm').value('scriptPath')).isFile(), true)
    }
    Map fixed = jobs['shop/payment'].find('parameters').values.findAll { it[1].startsWith('GITOPS_') }.collectEntries { [(it[1]): it[2]] }
    same(fixed, [GITOPS_SERVICE: ['payment'], GITOPS_IMAGE_REPOSITORY: ['docker.io/acme/payment'], GITOPS_SOURCE: ['https://git.example.com/payment.git']])
    same(jobs['ops/drill'].find('cron').value('spec'), 'H 3 * * *')
}

scenario('the Job DSL of the examples declares the forms that the pipelines declare, for it writes a job anew each time') { World world ->
    Map jobs = JobDsl.run(new File(world.controller.root, 'examples/jenkins/jobs.groovy'), environment)
    Closure form = { String job -> jobs[job].find('parameters').values.collect { [name: it[1], description: it.last(), choices: it[2] instanceof List ? it[2] : null] } }
    def deploy = world.jenkinsfile('Jenkinsfile')
    def rollback = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', env: [GITOPS_SERVICES: 'cart,payment'])
    [deploy: 'shop/cart', rollback: 'ops/rollback'].each { kind, job ->
        List declared = (kind == 'deploy' ? deploy : rollback).declared.collect { [name: it.name, description: it.description, choices: it.choices] }
        same(form(job).findAll { !it.name.startsWith('GITOPS_') }, declared)
    }
}

scenario('the person on call has rights on the rollback job and its folder only') { World world ->
    Map jobs = JobDsl.run(new File(world.controller.root, 'examples/jenkins/jobs.groovy'), environment)
    Map rights = jobs.findAll { it.value.all('user') }.collectEntries { name, job -> [(name): job.all('user')*.value('permissions')] }
    same(rights, [ops: [['Job/Read']], 'ops/rollback': [['Job/Read', 'Job/Build', 'Job/Cancel']]])
}

scenario('the reference of Job DSL refuses what it does not know') { World world ->
    File wrong = new File(world.folder, 'jobs.groovy')
    ["pipelineJob('a') { definitions { } }", "pipelineJob('no/folder') { }", "freeStyleJob('a') { }"].each { text ->
        wrong.text = text
        Throwable refused = null
        try { JobDsl.run(wrong, environment) } catch (MissingMethodException | HarnessError failed) { refused = failed }
        same([text, refused != null], [text, true])
    }
}

/** A repository with a folder for each service, and a test that a deployed service has to pass. */
Closure sources = { World world, String smokeTest ->
    File found = new File(world.folder, 'sources.git')
    world.git(world.folder, 'init', '-q', '--bare', '-b', 'main', found.path)
    Map files = ['cart', 'payment'].collectEntries { [("services/${it}/Dockerfile".toString()): 'FROM scratch\n'] }
    world.commitTo(found, 'Begin', files + ['smoke-test': "#!/bin/sh\n${smokeTest}\n".toString()])
    File clone = new File(world.folder, 'executable')
    world.git(world.folder, 'clone', '-q', found.path, clone.path)
    world.git(clone, 'update-index', '--chmod=+x', 'smoke-test')
    world.git(clone, '-c', 'user.name=x', '-c', 'user.email=x@example.org', 'commit', '-q', '-m', 'Let it run')
    world.git(clone, 'push', '-q', 'origin', 'HEAD:main')
    return found
}

Map credentials = ['docker-hub': [username: 'acme', password: 'dckr_p@t/x+y='], manifests: [username: 'bot', password: 'gp&a ss/w0rd+git']]

scenario('several services in one pipeline: one commit') { World world ->
    world.fakePodman('sha256:' + 'a' * 64)
    world.extraSecrets = credentials
    String before = world.tip()
    def build = world.jenkinsfile('examples/pipelines/several-services.Jenkinsfile', name: 'scripted', scm: [url: sources(world, 'exit 1').path])
    same(build.failure, null)
    same(world.git(world.remote, 'rev-list', '--count', "${before}..main").trim(), '1')
    same(['cart', 'payment'].collect { world.image(it).take(16) }, ['acme/cart:1@sha2', 'acme/payment:1@s'])
    same(build.archived().count { it.endsWith('record.json') }, 2)
}

scenario('a monorepo builds what people changed, and not its own deploys') { World world ->
    world.fakePodman('sha256:' + 'a' * 64)
    world.extraSecrets = credentials
    world.commit('Add the services', ['cart', 'payment'].collectEntries { [("services/${it}/Dockerfile".toString()): 'FROM scratch\n'] })
    Map job = [name: 'scripted', scm: [url: world.remote.path], env: [GITOPS_REPOSITORY: '']]
    String file = 'examples/pipelines/monorepo.Jenkinsfile'
    def first = world.jenkinsfile(job, file)
    same([first.failure, world.podmanCalls().count { it[0] == 'build' }], [null, 2])
    has(world.image('payment'), 'acme/payment:1@')
    def own = world.jenkinsfile(job, file)
    same([own.failure, own.run.result, own.run.description], [null, 'NOT_BUILT', 'no service changed: nothing to build'])
    world.commit('A better cart', ['services/cart/Dockerfile': 'FROM scratch\nLABEL a=b\n'])
    world.fakePodman('sha256:' + 'b' * 64)
    def second = world.jenkinsfile(job, file)
    same(second.failure, null)
    same([world.image('cart').contains(':3@sha256:bbb'), world.image('payment').contains(':1@')], [true, true])
}

scenario('a failing deploy in the middle: what this build deployed goes back, the rest is left, and the failure stays') { World world ->
    world.extraSecrets = credentials
    world.fakePodman('sha256:' + 'a' * 64)
    List before = ['cart', 'payment'].collect { world.image(it) }
    File source = sources(world, 'echo "trying $1"; [ "$1" != payment ]')
    def build = world.jenkinsfile('examples/pipelines/failing-deploy.Jenkinsfile', name: 'scripted', scm: [url: source.path])
    same(build.run.result, 'FAILURE')
    same(['cart', 'payment'].collect { world.image(it) }, before)
    same(['cart', 'payment'].collect { world.state(it).hold.reason.startsWith('build 1 failed: ') }, [true, true])
    has(build.text, 'trying payment')
}

scenario('what others deployed meanwhile is not taken back by a build that fails') { World world ->
    world.extraSecrets = credentials
    world.fakePodman('sha256:' + 'a' * 64)
    boolean done = false
    def build = world.jenkinsfile('examples/pipelines/failing-deploy.Jenkinsfile', name: 'scripted', scm: [url: sources(world, 'exit 1').path],
        beforeStep: { harness.Request step ->
            if (!done && step.name == 'sh' && step.arguments[0].label == 'smoke test') {
                done = true
                world.command('deploy', '--service', 'cart', '--image', World.NEXT)
            }
        })
    same(build.run.result, 'FAILURE')
    has(world.image(), 'acme/cart:1.6.0@')
    same(world.state().hold, null)
    same(build.shells.takeRight(1), ['gitops-rollback plan'])  // nothing is archived for a rollback that will not be
}

scenario('a deploy that is refused in the middle takes back only what was deployed before it') { World world ->
    world.extraSecrets = credentials
    world.fakePodman('sha256:' + 'a' * 64)
    world.step("gitopsDeploy(service: 'payment', image: 'docker.io/acme/payment:2.1.0@sha256:${'5' * 64}')")
    world.step("gitopsRollback(service: 'payment', reason: 'held by jane')")
    List before = ['cart', 'payment'].collect { world.image(it) }
    def build = world.jenkinsfile('examples/pipelines/failing-deploy.Jenkinsfile', name: 'scripted', job: 'shop/release',
        scm: [url: sources(world, 'exit 0').path])
    same(build.run.result, 'FAILURE')
    same(['cart', 'payment'].collect { world.image(it) }, before)
    has(World.error(build), 'held by jane')
    same([world.state('payment').hold.reason, world.state('cart').hold.reason.startsWith('build 1 failed: ')], ['held by jane', true])
}
