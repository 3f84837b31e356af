// Each step with the real command, a real repository and a real agent's files.
import harness.Request
import harness.World

String deploy(String image, String more = '') { "gitopsDeploy(service: 'cart', image: '${image}'${more})" }

scenario('a deploy records what runs, archives it, then puts the new image in') { World world ->
    String before = world.tip()
    def build = world.step(deploy(World.NEW, ", gitCredentialsId: 'git-bot', reason: 'new prices'"))
    same(build.failure, null)
    def made = World.returned(build)
    same(made.commit, world.tip())
    same(made.from, World.OLD)
    same(made.to, World.NEW)
    same(made.seconds > 0, true)
    same(world.image(), 'acme/cart:1.5.0@sha256:' + '2' * 64)
    same(World.title(build), 'cart 1.4.2 → 1.5.0')
    same(build.run.displayName, '#1 cart 1.4.2 → 1.5.0')
    same(build.run.keepLog, true)
    same(build.archived().findAll { it.endsWith('record.json') }, ['gitops-rollback/default/cart/record.json'])
    def record = World.archived(build, 'gitops-rollback/default/cart/record.json')
    same([record.image, record.replacedBy, record.commit, record.build.job, record.build.number, record.by],
        [World.OLD, World.NEW, before, 'shop/cart', 1, 'jane'])
    has(new File(build.artifacts, 'gitops-rollback/default/cart/manifests/apps/cart/deployment.yaml').text, 'acme/cart:1.4.2')
    has(world.message(), 'Gitops-By: jane')
    has(world.message(), 'new prices')
    same(world.state().deployed[0].build.number, 1)
    List archive = build.steps.findIndexValues { it.name == 'archiveArtifacts' }
    same(archive.size(), 1)
}

scenario('an agent that has the command costs one process for each phase') { World world ->
    world.step(deploy(World.NEW))
    def build = world.step(deploy(World.NEXT))
    same(build.failure, null)
    same(build.shells, ['gitops-rollback record', 'gitops-rollback deploy'])
    same(build.steps.count { it.name == 'libraryResource' && it.arguments.toString().contains('tar.gz') }, 0)
}

scenario('an environment of several: named in the path of the record and in what the build says') { World world ->
    world.commit('Configure', [
        '.gitops-rollback.toml': '[environments.staging]\npath = "staging"\n[environments.production]\npath = "apps"\n',
        'staging/cart.yaml': World.manifest('cart', 'acme/cart:1.4.2@sha256:' + '1' * 64),
    ])
    has(World.error(world.step(deploy(World.NEW))), 'staging')
    def build = world.step([env: [GITOPS_ENVIRONMENT: 'production']], deploy(World.NEW, ", environment: 'staging', lock: true"))
    same(build.failure, null)
    same(World.title(build), 'cart staging 1.4.2 → 1.5.0')
    same(build.locks, ['gitops-rollback/staging/cart'])
    has(build.archived(), 'gitops-rollback/staging/cart/record.json')
    has(world.read('staging/cart.yaml'), 'acme/cart:1.5.0@')
    has(world.image(), 'acme/cart:1.4.2@')
    def other = world.step([env: [GITOPS_ENVIRONMENT: 'production']], deploy(World.NEW, ', lock: true'))
    same(World.title(other), 'cart production 1.4.2 → 1.5.0')
    same(other.locks, ['gitops-rollback/production/cart'])
}

scenario('an image without a tag is called by its digest') { World world ->
    def build = world.step(deploy('docker.io/acme/cart@sha256:' + '2' * 64))
    same(build.failure, null)
    same(World.title(build), 'cart 1.4.2 → sha256:222222222222')
}

scenario('a redeploy of what runs commits nothing and archives nothing') { World world ->
    world.step(deploy(World.NEW))
    String tip = world.tip()
    def build = world.step(deploy(World.NEW))
    same(build.failure, null)
    same(world.tip(), tip)
    same(World.returned(build).containsKey('commit'), false)
    same(build.archived(), [])
    same(build.run.keepLog, false)
    same(World.title(build), 'nothing to do: cart 1.5.0')
}

scenario('a plan, then a rollback by it, then a release') { World world ->
    world.step(deploy(World.NEW))
    def build = world.build('''
        def plan
        node { plan = gitopsFindPreviousImage(service: 'cart', store: 'jenkins') }
        node {
            def done = gitopsRollback(plan: plan, reason: 'prices are wrong', approvedBy: 'bob')
            echo('returned ' + groovy.json.JsonOutput.toJson(done))
        }''')
    same(build.failure, null)
    def done = World.returned(build)
    same([done.from, done.to, done.commit], [World.NEW, World.OLD, world.tip()])
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
    same(World.title(build), 'cart 1.5.0 → 1.4.2, held')
    has(world.message(), 'Gitops-By: jane, approved by bob')
    same(world.state().hold.reason, 'prices are wrong')
    same(World.archived(build, 'gitops-rollback/default/cart/record.json').action, 'rollback')
    has(build.archived(), 'gitops-rollback/gitopsFindPreviousImage-result.json')
    same(build.steps.any { it.name == 'lock' }, false)

    def release = world.step("gitopsRelease(service: 'cart', reason: 'fixed')")
    same(release.failure, null)
    same(World.returned(release), [commit: world.tip()])
    same(world.state().hold, null)
    same(World.title(release), 'released cart 1.4.2')
}

scenario('a rollback by service and reason alone') { World world ->
    world.step(deploy(World.NEW))
    def build = world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    same(build.failure, null)
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
    same(world.state().deployed[0].build.job, 'ops/rollback')
}

scenario('a held service: one readable line, the result in full, nothing written') { World world ->
    world.step(deploy(World.NEW))
    world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    String tip = world.tip()
    def build = world.step(deploy(World.NEXT))
    same(build.run.result, 'FAILURE')
    same(world.tip(), tip)
    String line = World.error(build)
    has(line, 'gitopsDeploy: ')
    has(line, 'jane')
    has(line, 'broken')
    has(line, 'RELEASE (in a step release: true)')
    same(World.archived(build, 'gitops-rollback/gitopsDeploy-result.json').error.code, 'held')
    same(build.run.keepLog, false)

    def released = world.step(deploy(World.NEXT, ', release: true'))
    same(released.failure, null)
    same(world.state().hold, null)
}

scenario('a second rollback is refused, unless again') { World world ->
    world.step(deploy(World.NEW))
    world.step(deploy(World.NEXT))
    world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    def second = world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    same(second.run.result, 'FAILURE')
    has(World.error(second), 'gitopsRollback: ')
    same(World.archived(second, 'gitops-rollback/gitopsRollback-result.json').services[0].blockedBy*.code, ['already'])
    def third = world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken', again: true)")
    same(third.failure, null)
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
}

scenario('manifests that moved between record and push are recorded and archived again') { World world ->
    int left = 1
    String hotfix = 'acme/cart:1.4.9@sha256:' + '9' * 64
    def build = world.step([beforeStep: { Request step ->
        if (step.name == 'archiveArtifacts' && left-- > 0) {
            world.commit('By hand', ['apps/cart/deployment.yaml': World.manifest('cart', hotfix)])
        }
    }], deploy(World.NEW))
    same(build.failure, null)
    same(World.archived(build, 'gitops-rollback/default/cart/record.json').image, 'docker.io/' + hotfix)
    same(World.returned(build).from, 'docker.io/' + hotfix)
    same(world.image(), 'acme/cart:1.5.0@sha256:' + '2' * 64)
    same(build.steps.count { it.name == 'archiveArtifacts' }, 2)
    has(build.text, 'round 2 of 5')
}

scenario('manifests that never stand still end the deploy after five rounds') { World world ->
    int round = 0
    def build = world.step([beforeStep: { Request step ->
        if (step.name == 'archiveArtifacts') {
            round++
            world.commit('By hand', ['apps/cart/deployment.yaml': World.manifest('cart', "acme/cart:1.4.${round + 10}")])
        }
    }], deploy(World.NEW))
    same(build.run.result, 'FAILURE')
    same(build.shells.count { it == 'gitops-rollback deploy' }, 5)
    has(World.error(build), 'gitopsDeploy: ')
    same(World.archived(build, 'gitops-rollback/gitopsDeploy-result.json').error.category, 'moved')
}

scenario('quotes, dollars, newlines and umlauts in values reach the commit and no shell') { World world ->
    world.step(deploy(World.NEW))
    File trap = new File(world.folder, 'trap')
    String reason = "it's \"bad\" \$(touch ${trap}) `touch ${trap}` ; touch ${trap}\nsecond línea € 😀 \$GIT_PASSWORD \${JENKINS_TOKEN} \$\$ \\n"
    def build = world.build([params: [REASON: reason], firstRun: false, job: 'ops/rollback'], '''node {
        gitopsRollback(service: 'cart', reason: params.REASON, gitCredentialsId: 'git-bot', jenkinsCredentialsId: 'jenkins-api')
    }''')
    same(build.failure, null)
    same(trap.exists(), false)
    String kept = world.state().hold.reason
    has(kept, "it's \"bad\" \$(touch ${trap}) `touch ${trap}` ; touch ${trap}")
    has(kept, 'second línea € 😀 $GIT_PASSWORD ${JENKINS_TOKEN} $$ \\n')
    lacks(world.message(), World.SECRETS['git-bot'].password)
}

scenario('a service that is no name is refused before anything else') { World world ->
    File trap = new File(world.folder, 'trap')
    def build = world.step([:], "gitopsDeploy(service: '\$(touch ${trap})', image: '${World.NEW}')")
    same(build.run.result, 'FAILURE')
    same(trap.exists(), false)
    has(World.error(build), 'gitopsDeploy: ')
}

scenario('an unknown service is one line with the nearest names') { World world ->
    def build = world.step("gitopsFindPreviousImage(service: 'carts')")
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'cart')
    same(World.archived(build, 'gitops-rollback/gitopsFindPreviousImage-result.json').error.category, 'config')
}

scenario('missing and unknown parameters are named') { World world ->
    same(World.error(world.step("gitopsRollback(reason: 'x')")), 'gitopsRollback: service parameter is required')
    same(World.error(world.step("gitopsRollback(service: 'cart')")), 'gitopsRollback: reason parameter is required')
    same(World.error(world.step("gitopsDeploy(service: 'cart', image: '')")), 'gitopsDeploy: image parameter is required')
    same(World.error(world.step("gitopsRelease(services: ['cart'], reason: null)")), 'gitopsRelease: reason parameter is required')
    has(World.error(world.step("gitopsRecordImage(servise: 'cart')")), "gitopsRecordImage: unknown parameter 'servise' (it takes service, services, ")
    has(World.error(world.step("gitopsRecordImage(service: 'cart', services: ['cart'])")), 'not both')
}

scenario('several services move together and the build says so') { World world ->
    world.step(deploy(World.NEW))
    world.step("gitopsDeploy(service: 'payment', image: 'docker.io/acme/payment:2.1.0@sha256:${'5' * 64}')")
    def build = world.step([job: 'ops/rollback'], "gitopsRollback(services: ['cart', 'payment'], reason: 'broken')")
    same(build.failure, null)
    same(World.returned(build).services*.service.sort(), ['cart', 'payment'])
    same(build.archived().count { it.endsWith('record.json') }, 2)
    has(World.title(build), 'cart 1.5.0 → 1.4.2; payment 2.1.0 → 2.0.0, held')
}

scenario('a dry run writes nothing and archives no record') { World world ->
    String tip = world.tip()
    def build = world.step(deploy(World.NEW, ', dryRun: true'))
    same(build.failure, null)
    same([world.tip(), build.archived(), build.run.keepLog], [tip, [], false])
    has(World.title(build), 'dry run: cart 1.4.2 → 1.5.0')
}

scenario('a deploy under a lock holds it from record to push, a rollback takes none') { World world ->
    def build = world.step(deploy(World.NEW, ', lock: true'))
    same(build.failure, null)
    List kinds = build.frames
    same(kinds, [])
    same(build.locks, ['gitops-rollback/default/cart'])
    def rollback = world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    same(rollback.locks, [])
}

scenario('who started the build: a person, also through other builds, else what did') { World world ->
    Map timer = [_class: 'hudson.triggers.TimerTrigger$TimerTriggerCause', shortDescription: 'Started by timer']
    Map upstream = [_class: 'org.jenkinsci.plugins.workflow.support.steps.build.BuildUpstreamCause',
                    shortDescription: 'Started by upstream project "release" build number 3']
    Map person = [_class: 'hudson.model.Cause$UserIdCause', shortDescription: 'Started by user Mo', userId: 'mo', userName: 'Mo']
    world.step([causes: [timer]], deploy(World.NEW))
    has(world.message(), 'Gitops-By: timer')
    def top = new harness.RunWrapper(causes: [person])
    world.step([causes: [upstream], upstreamBuilds: [new harness.RunWrapper(causes: [upstream]), top]], deploy(World.NEXT))
    has(world.message(), 'Gitops-By: mo')
    world.step([causes: [[_class: person._class, shortDescription: 'Started by anonymous', userId: null, userName: 'anonymous']]], deploy(World.NEW, ', accept: "bad"'))
    has(world.message(), 'Gitops-By: anonymous')
}

scenario('allowedServices: a folder\'s job touches its own services only, sets too, and asks nobody about others') { World world ->
    world.commit('Configure', ['.gitops-rollback.toml': '[sets]\nbuying = ["cart"]\n'])
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    String refused = "this job or folder may not touch payment; allowed is buying (use the job of the team that owns it, or have it added to allowedServices)"
    ["gitopsRollback(service: 'payment', reason: 'x', allowedServices: ['buying'])",
     "gitopsFindPreviousImage(service: 'payment', allowedServices: 'buying')",
     "gitopsRelease(services: ['cart', 'payment'], reason: 'x', allowedServices: 'buying')"].each { call ->
        same(World.error(world.step(call)).split(': ', 2)[1], refused)
    }
    def job = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [SERVICE: 'payment', REASON: 'x'],
        env: [GITOPS_ALLOWED_SERVICES: 'buying'])
    has(World.error(job), 'may not touch payment')
    same(world.step("gitopsRollback(service: 'cart', reason: 'x', allowedServices: ['buying'])").failure, null)
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
}

scenario('all services are recorded and deployed by a map of their images') { World world ->
    same(world.step("gitopsDeploy(images: [cart: '${World.NEW}', payment: 'docker.io/acme/payment:2.1.0@sha256:${'5' * 64}'])").failure, null)
    String images = "[cart: '${World.NEXT}', payment: 'docker.io/acme/payment:2.2.0@sha256:${'6' * 64}']"
    same(World.returned(world.step("gitopsRecordImage(all: true, images: ${images})")).records*.service.sort(), ['cart', 'payment'])
    def build = world.step("gitopsDeploy(all: true, images: ${images}, lock: true)")
    same(build.failure, null)
    same(build.locks, ['gitops-rollback/default/cart', 'gitops-rollback/default/payment'])
    same(World.returned(build).services*.service.sort(), ['cart', 'payment'])
    has(World.error(world.step("gitopsDeploy(all: true, images: [cart: '${World.OLD}'])")), 'payment')
}

scenario('a map of images is deployed in one commit, with a record of each') { World world ->
    String images = "[cart: '${World.NEW}', payment: 'docker.io/acme/payment:2.1.0@sha256:${'5' * 64}']"
    String before = world.tip()
    def build = world.step("gitopsDeploy(images: ${images}, lock: true)")
    same(build.failure, null)
    same(World.returned(build).services*.service.sort(), ['cart', 'payment'])
    same(world.git(world.remote, 'rev-parse', 'main~1').trim(), before)
    same(build.archived().count { it.endsWith('record.json') }, 2)
    same(build.locks, ['gitops-rollback/default/cart', 'gitops-rollback/default/payment'])
    has(world.image(), 'acme/cart:1.5.0@')
    has(World.title(build), 'cart 1.4.2 → 1.5.0; payment 2.0.0 → 2.1.0')
    has(World.error(world.step("gitopsDeploy(image: 'a/b:1', images: ${images})")), 'give image or images, not both')
    has(World.error(world.step("gitopsDeploy(service: 'cart', images: ${images})")), 'payment')
    String from = "[cart: '${World.NEW}', payment: 'docker.io/acme/payment:2.0.0@sha256:${'4' * 64}']"
    has(World.error(world.step("gitopsDeploy(images: ${images}, from: ${from})")), 'payment runs docker.io/acme/payment:2.1.0')
}

scenario('what stands in the way of one service can be skipped: the build is unstable and says so') { World world ->
    String images = "[cart: '${World.NEXT}', payment: 'docker.io/acme/payment:2.1.0@sha256:${'5' * 64}']"
    world.step(deploy(World.NEW))
    world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    String tip = world.tip()
    def refused = world.step("gitopsDeploy(images: ${images})")
    same([refused.run.result, world.tip()], ['FAILURE', tip])
    has(World.error(refused), '1 of 2 services cannot be done, so none was: cart')
    def build = world.step("gitopsDeploy(images: ${images}, skipBlocked: true)")
    same([build.failure, build.run.result], [null, 'UNSTABLE'])
    same(World.returned(build).blocked*.code, ['held'])
    same(World.returned(build).commit, world.tip())
    has(build.text, 'gitopsDeploy: left as they are: cart (held)')
}

scenario('all services go back to what ran at a time') { World world ->
    world.step(deploy(World.NEW))
    sleep(1100)
    String moment = java.time.Instant.now().truncatedTo(java.time.temporal.ChronoUnit.SECONDS)
    sleep(1100)
    world.step(deploy(World.NEXT))
    def build = world.build("""
        def plan
        node { plan = gitopsFindPreviousImage(all: true, asOf: '${moment}') }
        node { gitopsRollback(plan: plan, reason: 'since lunch') }""")
    same(build.failure, null)
    has(world.image(), 'acme/cart:1.5.0@')
    def release = world.step("gitopsRelease(all: true, reason: 'fixed', accept: 'automation')")
    same(release.failure, null)
    same(world.state().hold, null)
}
