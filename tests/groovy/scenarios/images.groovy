// Building an image with whichever tool the agent has.
import groovy.json.JsonSlurperClassic
import harness.World

String digest = 'sha256:' + 'd' * 64

/** The arguments that follow an option, of one call. */
List<String> after(List<String> call, String option) { call.findIndexValues { it == option }.collect { call[(it as int) + 1] } }

scenario('an image is built once with all that the step was given, and pushed') { World world ->
    world.fakePodman(digest)
    String odd = "two words, \$HOME \$(touch ${world.folder}/trap) `x` \"q\" 'q' ü*"
    def build = world.build([scm: [url: world.source().path], env: [ODD: odd]], '''node {
        checkout(scm)
        def made = gitopsBuildImage(
            service: 'cart', image: 'docker.io/acme/cart:1.5.0', dockerfile: 'Dockerfile', target: 'run', platforms: ['linux/amd64'],
            buildArgs: [GREETING: env.ODD, EMPTY: ''], labels: [team: 'shop', 'org.opencontainers.image.title': 'own'],
            cacheFrom: ['docker.io/acme/cache'], cacheTo: 'docker.io/acme/cache', noCache: true, pull: true,
        )
        echo('returned ' + groovy.json.JsonOutput.toJson(made))
    }''')
    same(build.failure, null)
    same(World.returned(build), [image: "docker.io/acme/cart:1.5.0@${digest}".toString()])
    List calls = world.podmanCalls()
    same(calls.collect { it[0] }, ['build', 'push'])
    List built = calls[0]
    same(built.last(), '.')
    same([after(built, '--tag'), after(built, '--file'), after(built, '--target'), after(built, '--platform')],
        [['docker.io/acme/cart:1.5.0'], ['Dockerfile'], ['run'], ['linux/amd64']])
    same(after(built, '--build-arg'), ["GREETING=${odd}".toString(), 'EMPTY='])
    same([after(built, '--cache-from'), after(built, '--cache-to')], [['docker.io/acme/cache']] * 2)
    same(built.containsAll(['--no-cache', '--pull']), true)
    String commit = world.git(new File(build.scm.url), 'rev-parse', 'main').trim()
    same(after(built, '--label'), ["org.opencontainers.image.revision=${commit}", "org.opencontainers.image.source=${build.scm.url}",
        'org.opencontainers.image.title=cart', 'org.opencontainers.image.version=1.5.0', 'team=shop', 'org.opencontainers.image.title=own']*.toString())
    same(new File(world.folder, 'trap').exists(), false)
    same(calls[1].last(), 'docker.io/acme/cart:1.5.0')
}

scenario('a password in the origin’s URL does not get into a label') { World world ->
    world.fakePodman(digest)
    world.build('''node {
        sh(label: 'x', script: 'git init -q . && git remote add origin https://me:hidden@example.org/acme/cart.git')
        gitopsBuildImage(service: 'cart', image: 'acme/cart:1')
    }''')
    same(after(world.podmanCalls()[0], '--label')[0], 'org.opencontainers.image.source=https://example.org/acme/cart.git')
}

scenario('a push is tried three times, a build once') { World world ->
    world.fakePodman(digest, 2)
    def build = world.step([agent: [GITOPS_PUSH_PAUSE: '0']], "gitopsBuildImage(service: 'cart', image: 'acme/cart:1')")
    same(build.failure, null)
    same(world.podmanCalls().collect { it[0] }, ['build', 'push', 'push', 'push'])
    world.fakePodman(digest, 99)
    def failed = world.step([agent: [GITOPS_PUSH_PAUSE: '0']], "gitopsBuildImage(service: 'cart', image: 'acme/cart:1')")
    has(World.error(failed), 'gitopsBuildImage: pushing the image failed three times')
    world.tool('podman', "#!/bin/sh\necho \$1 >>${world.folder}/calls\nexit 3\n")
    has(World.error(world.step("gitopsBuildImage(service: 'cart', image: 'acme/cart:1')")), 'gitopsBuildImage: building the image failed')
    same(new File(world.folder, 'calls').text, 'build\n')
}

scenario('credentials are given by standard input, kept out of the home, and gone afterwards') { World world ->
    world.fakePodman(digest)
    def build = world.step([env: [GITOPS_DOCKERHUB_CREDENTIALS_ID: 'hub']],
        "gitopsBuildImage(service: 'cart', image: 'registry.example.org:5000/acme/cart:1', registryCredentialsId: 'registry', registryHost: 'registry.example.org:5000')")
    same(build.failure, null)
    List logins = world.podmanCalls().findAll { it[0] == 'login' }
    same(logins, [['login', '--username', 'push', '--password-stdin', 'registry.example.org:5000'], ['login', '--username', 'acme', '--password-stdin', 'docker.io']])
    same(new File(world.folder, 'podman-password').text, World.SECRETS.hub.password)
    world.tool('podman', '#!/bin/sh\nexit 1\n')
    has(World.error(world.step("gitopsBuildImage(service: 'cart', image: 'acme/cart:1', registryCredentialsId: 'registry', registryHost: 'registry.example.org')")), 'logging in at the registry failed')
}

scenario('a registry’s password goes to its own host, whatever the image is called; without a host it goes nowhere') { World world ->
    world.fakePodman(digest)
    def unsaid = world.step("gitopsBuildImage(service: 'cart', image: 'evil.example.com/cart:1', registryCredentialsId: 'registry')")
    same(unsaid.run.result, 'FAILURE')
    has(World.error(unsaid), 'the credentials registry are for one registry, and nothing says for which')
    same(new File(world.folder, 'podman-arguments').exists(), false)
    def build = world.step([env: [GITOPS_REGISTRY_HOST: 'registry.example.org']],
        "gitopsBuildImage(service: 'cart', image: 'evil.example.com/cart:1', registryCredentialsId: 'registry')")
    same(build.failure, null)
    same(world.podmanCalls().findAll { it[0] == 'login' }, [['login', '--username', 'push', '--password-stdin', 'registry.example.org']])
}

scenario('a registry’s password that the agent has, and no host for it, is sent to nobody') { World world ->
    world.fakePodman(digest)
    def build = world.step([agent: [REGISTRY_USERNAME: 'push', REGISTRY_PASSWORD: 'hunter2']],
        "gitopsBuildImage(service: 'cart', image: 'evil.example.com/cart:1')")
    has(World.error(build), 'nothing says for which host (set REGISTRY_HOST')
    same(new File(world.folder, 'podman-arguments').exists(), false)
}

scenario('an image that is only built is neither logged in for nor pushed') { World world ->
    world.fakePodman(digest)
    def build = world.step([env: [GITOPS_DOCKERHUB_CREDENTIALS_ID: 'hub', GITOPS_REGISTRY_CREDENTIALS_ID: 'registry']],
        "gitopsBuildImage(service: 'cart', image: 'acme/cart:1', push: false)")
    same([build.failure, World.returned(build)], [null, [image: 'acme/cart:1']])
    same(world.podmanCalls().collect { it[0] }, ['build'])
}

scenario('the agent’s own docker configuration is kept and added to, in a copy that is gone afterwards') { World world ->
    File own = new File(world.home, '.docker')
    own.mkdirs()
    String config = '{"proxies": {"default": {"httpProxy": "http://proxy:3128"}}, "credsStore": "desktop", "auths": {"other.example.org": {"auth": "eDp5"}}}'
    new File(own, 'config.json').text = config
    world.tool('docker', """#!/bin/sh
if [ "\$1" = login ]; then cat >/dev/null; cp "\$DOCKER_CONFIG/config.json" '${world.folder}/used.json'; exit; fi
case "\$*" in *--metadata-file*)
  while [ "\$1" != --metadata-file ]; do shift; done
  printf '{"containerimage.digest": "${digest}"}' >"\$2"
esac
""")
    def build = world.step([env: [GITOPS_DOCKERHUB_CREDENTIALS_ID: 'hub']], "gitopsBuildImage(service: 'cart', image: 'acme/cart:1')")
    same(build.failure, null)
    Map used = new JsonSlurperClassic().parse(new File(world.folder, 'used.json')) as Map
    same([used.proxies.default.httpProxy, used.credsStore, used.auths.keySet().toList()], ['http://proxy:3128', 'desktop', ['other.example.org']])
    same(used.credHelpers, ['docker.io': '', 'index.docker.io': '', 'https://index.docker.io/v1/': ''])
    same(new File(own, 'config.json').text, config)
    new File(own, 'config.json').text = 'no JSON'
    def broken = world.step([env: [GITOPS_DOCKERHUB_CREDENTIALS_ID: 'hub']], "gitopsBuildImage(service: 'cart', image: 'acme/cart:1')")
    has(World.error(broken), 'the docker configuration of this agent cannot be read')
}

scenario('docker builds through buildx, and the digest is the one of its metadata file') { World world ->
    world.tool('docker', """#!/bin/sh
printf '%s\\n' "\$*" >>"${world.folder}/calls"
case "\$*" in *--metadata-file*)
  while [ "\$1" != --metadata-file ]; do shift; done
  printf '{"containerimage.config.digest": "sha256:%064d", "containerimage.digest": "${digest}"}' 0 >"\$2"
esac
""")
    def build = world.step("gitopsBuildImage(service: 'cart', image: 'acme/cart:1', platforms: 'linux/amd64,linux/arm64', noCache: true)")
    same(build.failure, null)
    same(World.returned(build), [image: "acme/cart:1@${digest}".toString()])
    List calls = new File(world.folder, 'calls').readLines()
    same(calls[0], 'buildx version')
    has(calls[1], 'buildx build --tag acme/cart:1 ')
    has(calls[1], '--no-cache')
    has(calls[2], 'buildx build --tag acme/cart:1 --push --metadata-file ')
    lacks(calls[2], '--no-cache')
    same(calls.size(), 3)
}

scenario('several platforms with podman make one manifest list') { World world ->
    world.fakePodman(digest)
    world.tool('podman', new File(world.tools, 'podman').text.replace('  push)', '  manifest) [ "$2" = push ] && printf %s \'' + digest + '\' >"$5" ;;\n  push)'))
    def build = world.step("gitopsBuildImage(service: 'cart', image: 'acme/cart:1', platforms: 'linux/amd64,linux/arm64')")
    same(build.failure, null)
    List calls = world.podmanCalls()
    same(calls.collect { it.take(2) }, [['manifest', 'rm'], ['build', '--manifest'], ['manifest', 'push']])
    same(calls[2].last(), 'docker://acme/cart:1')
}

scenario('an agent without any of the tools says so in one line, and so does a wish for one it lacks') { World world ->
    File bare = new File(world.folder, 'bare')
    bare.mkdirs()
    ['sh', 'mkdir', 'base64', 'rm', 'cat', 'git', 'sed'].each { name ->
        ['ln', '-s', "which ${name}".execute().text.trim(), new File(bare, name).path].execute().waitFor()
    }
    def build = world.step([agent: [PATH: bare.path]], "gitopsBuildImage(service: 'cart', image: 'acme/cart:1')")
    has(World.error(build), 'gitopsBuildImage: this agent has none of docker with buildx, podman and buildah')
    has(World.error(world.step([agent: [PATH: bare.path]], "gitopsBuildImage(service: 'cart', image: 'acme/cart:1', tool: 'podman')")), 'this agent has none')
}

scenario('an image with a digest and an argument with a line break are refused before anything is built') { World world ->
    world.fakePodman(digest)
    has(World.error(world.step("gitopsBuildImage(service: 'cart', image: 'acme/cart@${digest}')")), 'a tag, not a digest')
    has(World.error(world.step("gitopsBuildImage(service: 'cart', image: 'acme/cart:1', buildArgs: [A: 'x\\ny'])")), 'a line break cannot be part of')
    same(new File(world.folder, 'podman-arguments').exists(), false)
}

scenario('a real image, built by buildah and pushed to a real registry, has the digest that the registry knows') { World world ->
    if (!['buildah', 'docker-registry'].every { "which ${it}".execute().waitFor() == 0 }) {
        if (System.getenv('CI')) { throw new AssertionError('buildah and docker-registry are missing' as Object) }
        println 'note: without buildah and docker-registry no real image is built (Debian: apt-get install buildah docker-registry)'
        return
    }
    int port = new ServerSocket(0).withCloseable { it.localPort }
    File config = new File(world.folder, 'registry.yml')
    config.text = """\
version: 0.1
storage: {filesystem: {rootdirectory: ${world.folder}/registry}}
http: {addr: '127.0.0.1:${port}'}
"""
    Process registry = ['docker-registry', 'serve', config.path].execute()
    world.onClose { registry.destroy(); registry.waitFor() }
    registry.consumeProcessOutput()
    (1..400).find { try { new Socket('127.0.0.1', port).close(); true } catch (ConnectException e) { sleep(50); false } }
    File registries = new File(world.folder, 'registries.conf')
    registries.text = "[[registry]]\nlocation = \"127.0.0.1:${port}\"\ninsecure = true\n"
    def build = world.build([scm: [url: world.source().path], agent: [STORAGE_DRIVER: 'vfs', BUILDAH_ISOLATION: 'chroot',
        CONTAINERS_REGISTRIES_CONF: registries.path]], """node {
        checkout(scm)
        def made = gitopsBuildImage(service: 'cart', image: '127.0.0.1:${port}/acme/cart:1.5.0', tool: 'buildah', labels: [team: 'shop'])
        echo('returned ' + groovy.json.JsonOutput.toJson(made))
    }""")
    same(build.failure, null)
    String image = World.returned(build).image
    def connection = new URL("http://127.0.0.1:${port}/v2/acme/cart/manifests/1.5.0").openConnection()
    connection.setRequestProperty('Accept', 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json')
    same(image, "127.0.0.1:${port}/acme/cart:1.5.0@${connection.getHeaderField('Docker-Content-Digest')}".toString())
    def manifest = new JsonSlurperClassic().parseText(connection.inputStream.text)
    def labels = new JsonSlurperClassic().parse(new URL("http://127.0.0.1:${port}/v2/acme/cart/blobs/${manifest.config.digest}")).config.Labels
    same([labels.team, labels['org.opencontainers.image.title'], labels['org.opencontainers.image.version']], ['shop', 'cart', '1.5.0'])
    same(labels['org.opencontainers.image.revision'].size(), 40)
}
