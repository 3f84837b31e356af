// Both Jenkinsfiles as they are, from their very first run.
import harness.World

String digest = 'sha256:' + 'a' * 64

scenario('the first run of the rollback job only loads its parameters') { World world ->
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback')
    same(build.run.result, 'NOT_BUILT')
    same(build.failure, null)
    has(build.text, 'the parameters were loaded, nothing else was done: build again with parameters')
    same(World.title(build), 'the parameters were loaded, nothing else was done: build again with parameters')
    same(build.steps.any { it.name == 'sh' }, false)
    same(build.libraries, ['gitops-rollback'])
    same(build.nodes, 0)
}

scenario('the rollback job: plan, apply, and everybody knows who and why') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback')
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', params: [SERVICE: ' cart ', REASON: 'checkout fails'],
        env: [GITOPS_GIT_CREDENTIALS_ID: 'git-bot', GITOPS_JENKINS_CREDENTIALS_ID: 'jenkins-api', GITOPS_LIBRARY: 'gitops-rollback@v1'])
    same(build.failure, null)
    same(build.run.result, 'SUCCESS')
    same(build.libraries, ['gitops-rollback@v1'])
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
    same(World.title(build), 'cart 1.5.0 → 1.4.2, held')
    same(build.run.displayName, '#2 cart 1.5.0 → 1.4.2, held')
    has(world.message(), 'Gitops-By: jane')
    has(world.message(), 'Gitops-Reason: checkout fails')
    same([build.shells, build.nodes], [['gitops-rollback plan', 'gitops-rollback record', 'gitops-rollback rollback'], 1])
    has(build.archived(), 'gitops-rollback/default/cart/record.json')
}

scenario('ACTION plan shows and changes nothing') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    String tip = world.tip()
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [ACTION: 'plan', SERVICE: 'cart'])
    same(build.failure, null)
    same(world.tip(), tip)
    same(World.title(build), 'plan: cart 1.5.0 → 1.4.2')
    same(World.archived(build, 'gitops-rollback/gitopsFindPreviousImage-result.json').services[0].to.image, World.OLD)
}

scenario('an approval is asked for without an agent, and its giver is written down') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    Map asked = null
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'checkout fails'],
        env: [GITOPS_APPROVERS: 'bob,ops'], answer: { asked = it; 'bob' })
    same(build.failure, null)
    same([asked.submitter, build.nodes], ['bob,ops', 2])
    has(asked.message, 'cart 1.5.0 → 1.4.2')
    has(asked.message, 'checkout fails')
    has(world.message(), 'Gitops-By: jane, approved by bob')
    same(world.state().hold.by, 'jane, approved by bob')
}

scenario('a rollback that is not approved changes nothing') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    String tip = world.tip()
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'x'],
        env: [GITOPS_APPROVAL: 'true'], answer: { throw new harness.FlowInterruptedException('Rejected by bob') })
    same(build.run.result, 'ABORTED')
    same(world.tip(), tip)
    same(build.shells, ['gitops-rollback plan'])
}

scenario('a rollback without a reason fails before it plans') { World world ->
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart'])
    same(World.error(build), 'REASON is missing: it is needed to roll back')
    same(build.shells, [])
}

scenario('a rollback that was done already is refused before anybody is asked, and AGAIN goes on') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEXT}')")
    Map both = [job: 'ops/rollback', firstRun: false, env: [GITOPS_APPROVAL: 'true'], answer: { 'bob' }]
    same(world.jenkinsfile(both + [params: [SERVICE: 'cart', REASON: 'x']], 'Jenkinsfile.rollback').failure, null)
    same(world.image(), 'acme/cart:1.5.0@sha256:' + '2' * 64)
    String tip = world.tip()
    def second = world.jenkinsfile(both + [params: [SERVICE: 'cart', REASON: 'x'], answer: null], 'Jenkinsfile.rollback')
    same(second.run.result, 'FAILURE')
    has(World.error(second), 'refused (already)')
    has(World.links(second).again, '/job/ops/job/rollback/build?')
    same(world.tip(), tip)
    def third = world.jenkinsfile(both + [params: [SERVICE: 'cart', REASON: 'x', AGAIN: 'true']], 'Jenkinsfile.rollback')
    same(third.failure, null)
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
}

scenario('ACTION release ends the hold; DRY_RUN only shows it') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'x'])
    Map release = [ACTION: 'release', SERVICE: 'cart', REASON: 'fixed in 1.5.1']
    def dry = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: release + [DRY_RUN: 'true'])
    same(dry.failure, null)
    same(world.state().hold.reason, 'x')
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: release)
    same(build.failure, null)
    same(world.state().hold, null)
    same(World.title(build), 'released cart 1.4.2')
}

scenario('a set and TO: several services, one commit') { World world ->
    world.commit('Configure', ['.gitops-rollback.toml': '[sets]\ncheckout = ["cart", "payment"]\n'])
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    world.step("gitopsDeploy(service: 'payment', image: 'docker.io/acme/payment:2.1.0@sha256:${'5' * 64}')")
    String tip = world.tip()
    def build = world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [SERVICE: 'checkout', REASON: 'x'])
    same(build.failure, null)
    same(world.git(world.remote, 'rev-list', '--count', "${tip}..main").trim(), '1')
    same(World.title(build), 'cart 1.5.0 → 1.4.2; payment 2.1.0 → 2.0.0, held')
}

scenario('the first run of the deploy pipeline without a service only loads its parameters') { World world ->
    def build = world.jenkinsfile('Jenkinsfile')
    same(build.run.result, 'NOT_BUILT')
    same(World.title(build), 'the parameters were loaded, nothing else was done: build again with parameters')
    same(build.shells, [])
}

scenario('the deploy pipeline builds, pushes, records, archives and deploys') { World world ->
    world.fakePodman(digest)
    Map scm = [url: world.source().path]
    def build = world.jenkinsfile('Jenkinsfile', scm: scm, firstRun: false, env: [GITOPS_SERVICE: 'cart', GITOPS_IMAGE_REPOSITORY: 'docker.io/acme/cart',
        GITOPS_DOCKERHUB_CREDENTIALS_ID: 'hub', GITOPS_GIT_CREDENTIALS_ID: 'git-bot'])
    same(build.failure, null)
    String commit = world.git(new File(scm.url), 'rev-parse', 'main').trim()
    same(world.image(), "acme/cart:1-${commit.substring(0, 7)}@${digest}".toString())
    same(world.podmanCalls().collect { it[0] }, ['login', 'build', 'push'])
    has(build.archived(), 'gitops-rollback/default/cart/record.json')
    same(World.title(build), "cart 1.4.2 → 1-${commit.substring(0, 7)}".toString())
    same(build.run.keepLog, true)
}

scenario('the deploy pipeline from this repository builds a service of another one') { World world ->
    world.fakePodman(digest)
    File source = world.source()
    world.git(source, 'branch', 'release')
    def build = world.jenkinsfile('Jenkinsfile', firstRun: false, env: [GITOPS_SOURCE: source.path, GITOPS_SOURCE_BRANCH: 'release', GITOPS_GIT_CREDENTIALS_ID: 'git-bot',
        GITOPS_SERVICE: 'cart', GITOPS_IMAGE_REPOSITORY: 'docker.io/acme/cart'])
    same(build.failure, null)
    has(world.image(), "acme/cart:1-${world.git(source, 'rev-parse', '--short=7', 'release').trim()}@${digest}")
}

scenario('a build whose new commits are all this tool’s own ends in grey, the next one builds') { World world ->
    world.fakePodman(digest)
    world.commit('Add the service', [Dockerfile: 'FROM scratch\n'])
    Map options = [scm: [url: world.remote.path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart']]
    same(world.jenkinsfile(options, 'Jenkinsfile').run.result, 'SUCCESS')
    def own = world.jenkinsfile(options, 'Jenkinsfile')
    same(own.run.result, 'NOT_BUILT')
    has(own.text, 'all new commits are those of gitops-rollback')
    same(own.shells, ['new commits'])
    def again = world.jenkinsfile(options, 'Jenkinsfile')
    same(again.run.result, 'SUCCESS')
    world.commit('A change of the service', [Dockerfile: 'FROM scratch\nLABEL a=b\n'])
    same(world.jenkinsfile(options, 'Jenkinsfile').run.result, 'SUCCESS')
    world.fakePodman('sha256:' + 'c' * 64)
    same(world.jenkinsfile(options + [params: options.params + [VERSION: '9.9.9']], 'Jenkinsfile').run.result, 'SUCCESS')
    has(world.image(), ':9.9.9@')
}

scenario('in a multibranch project only the primary branch is deployed') { World world ->
    world.fakePodman(digest)
    Map options = [scm: [url: world.source().path], job: 'shop/cart/feature%2Fx']
    Map env = [GITOPS_SERVICE: 'cart', GITOPS_IMAGE_REPOSITORY: 'docker.io/acme/cart']
    String tip = world.tip()
    def branch = world.jenkinsfile(options + [env: env + [BRANCH_NAME: 'feature/x']], 'Jenkinsfile')
    same([branch.run.result, world.tip()], ['SUCCESS', tip])
    same(branch.shells, ['gitops-rollback build'])
    same(world.podmanCalls().collect { it[0] }, ['build'])
    same(World.title(branch), 'built, neither pushed nor deployed: only the primary branch is (GITOPS_DEPLOY_BRANCH)')
    def request = world.jenkinsfile(options + [job: 'shop/cart/PR-1', env: env + [BRANCH_NAME: 'PR-1', CHANGE_ID: '1']], 'Jenkinsfile')
    same([request.run.result, world.tip(), world.podmanCalls().collect { it[0] }], ['SUCCESS', tip, ['build', 'build']])
    same(World.title(request), 'built, neither pushed nor deployed: pull requests are not')
    def named = world.jenkinsfile(options + [job: 'shop/cart/PR-2', env: env + [BRANCH_NAME: 'PR-2', CHANGE_ID: '2', GITOPS_DEPLOY_BRANCH: 'PR-2', GITOPS_RELEASE: 'true']], 'Jenkinsfile')
    same([named.run.result, world.tip(), world.podmanCalls().collect { it[0] }], ['SUCCESS', tip, ['build'] * 3])
    def main = world.jenkinsfile(options + [job: 'shop/cart/main', firstRun: false, env: env + [BRANCH_NAME: 'main', BRANCH_IS_PRIMARY: 'true']], 'Jenkinsfile')
    same(main.failure, null)
    same(world.tip() == tip, false)
    world.fakePodman('sha256:' + 'c' * 64)
    def release = world.jenkinsfile(options + [job: 'shop/cart/release', env: env + [BRANCH_NAME: 'release', GITOPS_DEPLOY_BRANCH: 'release'],
        firstRun: false, params: [VERSION: '7.0.0']], 'Jenkinsfile')
    same(release.failure, null)
    has(world.image(), ':7.0.0@')
}

scenario('a held service is refused before anything is built: unstable, in one line; RELEASE deploys and ends the hold') { World world ->
    world.fakePodman(digest)
    Map options = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.5.0']]
    same(world.jenkinsfile(options, 'Jenkinsfile').failure, null)
    int built = world.podmanCalls().size()
    world.jenkinsfile('Jenkinsfile.rollback', job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'broken'])
    String tip = world.tip()
    world.fakePodman('sha256:' + 'b' * 64)
    def held = world.jenkinsfile(options + [params: options.params + [VERSION: '1.5.1']], 'Jenkinsfile')
    same([held.run.result, held.failure, world.tip(), world.podmanCalls().size()], ['UNSTABLE', null, tip, built])
    has(held.text, 'WARNING: gitopsDeploy: refused (held): ')
    has(World.title(held), 'refused: cart')
    has(World.title(held), 'broken')
    same(World.links(held).again, 'http://127.0.0.1:9/job/shop/job/cart/build?delay=0sec')
    same(held.shells.unique(false), ['gitops-rollback deploy'])
    def bad = world.jenkinsfile(options + [params: options.params + [RELEASE: 'true']], 'Jenkinsfile')
    same([bad.run.result, world.podmanCalls().size()], ['UNSTABLE', built])
    has(bad.text, 'refused (bad): ')
    def released = world.jenkinsfile(options + [params: options.params + [VERSION: '1.5.1', RELEASE: 'true']], 'Jenkinsfile')
    same([released.failure, released.run.result], [null, 'SUCCESS'])
    has(world.image(), ':1.5.1@sha256:bbb')
    def again = world.jenkinsfile(options + [params: options.params + [VERSION: '1.5.1']], 'Jenkinsfile')
    same(again.run.result, 'UNSTABLE')
    has(again.text, 'refused (retag): ')
}

scenario('an older build is refused before anything is built, and ALLOW_OLDER lets it') { World world ->
    world.fakePodman(digest)
    Map options = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.5.0']]
    same(world.jenkinsfile(options + [number: 7], 'Jenkinsfile').failure, null)
    world.fakePodman('sha256:' + 'b' * 64)
    Map older = options + [number: 6, params: options.params + [VERSION: '1.4.9']]
    int built = world.podmanCalls().size()
    def refused = world.jenkinsfile(older, 'Jenkinsfile')
    same([refused.run.result, world.podmanCalls().size()], ['UNSTABLE', built])
    has(refused.text, 'refused (outdated)')
    def allowed = world.jenkinsfile(older + [params: older.params + [ALLOW_OLDER: 'true']], 'Jenkinsfile')
    same([allowed.failure, allowed.run.result], [null, 'SUCCESS'])
}

scenario('a failure is none of the refusals that leave a build unstable, whatever its words quote') { World world ->
    world.fakePodman(digest)
    Map options = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', ENVIRONMENT: 'a: refused (b)']]
    def build = world.jenkinsfile(options, 'Jenkinsfile')
    same([build.run.result, build.shells.unique(false)], ['FAILURE', ['gitops-rollback deploy']])
    has(World.error(build), 'cannot name a service or an environment')
}

scenario('the report is archived and linked: after a rollback, before an approval, and of what is refused') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    Map job = [job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'broken'], env: [GITOPS_REPORT: '']]
    Map asked = null
    def plan = world.jenkinsfile(job + [env: job.env + [GITOPS_APPROVERS: 'bob'], params: job.params + [DRY_RUN: 'true']], 'Jenkinsfile.rollback')
    same(plan.shells, ['gitops-rollback plan', 'gitops-rollback report'])
    def without = world.jenkinsfile(job + [env: [GITOPS_REPORT: 'no'], params: job.params + [DRY_RUN: 'true']], 'Jenkinsfile.rollback')
    same([without.failure, without.shells], [null, ['gitops-rollback plan']])
    def approved = world.jenkinsfile(job + [env: job.env + [GITOPS_APPROVERS: 'bob'],
        answer: { asked = it; throw new harness.FlowInterruptedException('Rejected') }], 'Jenkinsfile.rollback')
    same(approved.run.result, 'ABORTED')
    String page = 'http://127.0.0.1:9/job/ops/job/rollback/3/artifact/gitops-rollback/report/report.html'
    same(asked.message.contains('Roll back cart 1.5.0 → 1.4.2?'), true)
    has(approved.text, "report: ${page}")
    def done = world.jenkinsfile(job, 'Jenkinsfile.rollback')
    same(done.failure, null)
    same(done.shells, ['gitops-rollback plan', 'gitops-rollback record', 'gitops-rollback rollback', 'gitops-rollback report'])
    same(World.title(done), 'cart 1.5.0 → 1.4.2, held')
    same(World.links(done).report, page.replace('/3/', '/4/'))
    same(World.links(done).record, page.replace('/3/', '/4/').replace('report/report.html', 'default/cart/record.json'))
    same(World.links(done).commit, world.tip())
    has(new File(done.artifacts, 'gitops-rollback/report/report.html').getText('UTF-8'), 'Rolled back: cart 1.5.0 → 1.4.2')
    same(new File(done.artifacts, 'gitops-rollback/report').list().sort().toList(), ['report.css', 'report.html', 'timeline-default-cart.svg'])
    def refused = world.step([env: job.env], "gitopsRollback(service: 'cart', reason: 'again')")
    same(refused.run.result, 'FAILURE')
    has(new File(refused.artifacts, 'gitops-rollback/report/report.html').getText('UTF-8'), 'was rolled back')
}

scenario('a report that cannot be made fails nothing') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    def build = world.step([env: [GITOPS_REPORT: ''], beforeStep: { step ->
        if (step.name == 'sh' && step.arguments[0].label == 'gitops-rollback report') { world.tool('git', '#!/bin/sh\nexit 1\n') }
    }], "gitopsRollback(service: 'cart', reason: 'x')")
    same([build.run.result, build.failure], ['SUCCESS', null])
    same(World.title(build), 'cart 1.5.0 → 1.4.2, held')
}

scenario('the drill: unstable with a warning, red with one line where a rollback would fail') { World world ->
    Map job = [job: 'ops/drill', env: [GITOPS_STORE: "directory:${world.folder}/store"]]
    Map deploy = [env: [GITOPS_STORE: "directory:${world.folder}/store"]]
    world.step(deploy, "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    String tip = world.tip()
    def warned = world.jenkinsfile(job, 'Jenkinsfile.drill')
    same([warned.run.result, warned.failure], ['UNSTABLE', null])
    has(warned.text, 'gitopsCheck: a rollback would work: 1 service could go back, with warnings: ')
    same(World.title(warned), 'drill: 1 service could go back, with warnings')
    has(new File(warned.artifacts, 'gitops-rollback/report/report.html').getText('UTF-8'), 'Would a rollback work?')
    has(World.links(warned).report, 'artifact/gitops-rollback/report/report.html')
    same(world.tip(), tip)
    world.commit('Move the cart', ['apps/other/deployment.yaml': World.manifest('cart', 'other/cart:7')])
    def failed = world.jenkinsfile(job, 'Jenkinsfile.drill')
    same(failed.run.result, 'FAILURE')
    has(World.error(failed), 'gitopsCheck: a rollback would fail: cart: ')
    same(World.title(failed), 'drill: 1 of 1 service could not go back')
    has(failed.archived(), 'gitops-rollback/report/report.html')
}
