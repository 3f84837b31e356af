ruleset {
    description 'What the Groovy code of this library is held to'

    // By default these rules look at files named Jenkinsfile only.
    ruleset('rulesets/jenkins.xml') {
        ClassNotSerializable { applyToFileNames = '*' }
        ClosureInGString { applyToFileNames = '*' }
        CpsCallFromNonCpsMethod {
            applyToFileNames = '*'
            cpsPackages = ['io.github.gitopsrollback']
        }
        ExpressionInCpsMethodNotSerializable { applyToFileNames = '*' }
        ForbiddenCallInCpsMethod { applyToFileNames = '*' }
        ObjectOverrideOnlyNonCpsMethods { applyToFileNames = '*' }
        ParameterOrReturnTypeNotSerializable { applyToFileNames = '*' }
    }
    ruleset('rulesets/basic.xml')
    ruleset('rulesets/imports.xml')
    ruleset('rulesets/unused.xml')
    ruleset('rulesets/braces.xml')
    ruleset('rulesets/exceptions.xml')
    ruleset('rulesets/groovyism.xml') {
        exclude 'GStringExpressionWithinString'  // the shell expands these, on purpose
    }
    ruleset('rulesets/unnecessary.xml') {
        UnnecessaryElseStatement { enabled = true }
        exclude 'UnnecessaryGetter'             // what the sandbox allows was measured with these
        exclude 'UnnecessaryCollectCall'        // the spread operator is one more thing for the sandbox to know
        exclude 'UnnecessaryReturnKeyword'      // style: a value that is returned says so
        exclude 'UnnecessaryPackageReference'
        exclude 'UnnecessarySetter'
        exclude 'UnnecessaryToString'           // "${x}" is no text yet, and what is not must not be returned
    }
    ruleset('rulesets/size.xml') {
        NestedBlockDepth { maxNestedBlockDepth = 7 }  // a declarative pipeline begins at five
        MethodSize { maxLines = 110 }           // a shell script is one literal
        exclude 'AbcMetric'                     // asks for a library of its own
        exclude 'CrapMetric'
    }
    ruleset('rulesets/formatting.xml') {
        LineLength { length = 160 }
        exclude 'SpaceAroundMapEntryColon'
        exclude 'SpaceAfterOpeningBrace'
        exclude 'SpaceBeforeClosingBrace'
        exclude 'ClassEndsWithBlankLine'
        exclude 'ClassStartsWithBlankLine'
        exclude 'Indentation'                   // does not know how arguments are continued
        exclude 'ConsecutiveBlankLines'
    }
}
