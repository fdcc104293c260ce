// The app on Container Apps with a Dapr sidecar, and the registry for its image.
import { texts } from '../types.bicep'

param name string
param registryName string
param environmentName string
param location string
param tags texts
param identityId string
@description('Names the role assignment, since it is known before the run as the object id is not.')
param identityName string
param principalId string
param workspaceId string
@description('Empty leaves the environment in a network of the platform\'s.')
param subnetId string
@description('Empty leaves the app out.')
param image string
param cpu string
param memory string
param minReplicas int
param maxReplicas int
@description('Empty asks nobody to sign in.')
param apiClientId string
param settings texts

var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' = {
  // checkov:skip=CKV_AZURE_139:closing it needs the Premium tier and an agent for pushing in the network; only identities may pull
  // checkov:skip=CKV_AZURE_163:Defender for Containers scans, a setting of the subscription
  // checkov:skip=CKV_AZURE_166:needs the Premium tier
  name: registryName
  location: location
  tags: tags
  sku: {
    name: 'Basic'
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
  }
}

resource puller 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, identityName, acrPull)
  scope: registry
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', acrPull)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource apps 'Microsoft.App/managedEnvironments@2026-01-01' = {
  name: environmentName
  location: location
  tags: tags
  properties: {
    // By way of a diagnostic setting, since the direct one needs the workspace's key.
    appLogsConfiguration: {
      destination: 'azure-monitor'
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
    vnetConfiguration: empty(subnetId)
      ? null
      : {
          infrastructureSubnetId: subnetId
          internal: false
        }
  }
}

#disable-next-line use-recent-api-versions // the newer of the two has no groups of categories
resource environmentLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: apps
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource app 'Microsoft.App/containerApps@2026-01-01' = if (!empty(image)) {
  name: 'ca-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    environmentId: apps.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      registries: [
        {
          server: registry.properties.loginServer
          identity: identityId
        }
      ]
      ingress: {
        external: true
        targetPort: 80
        transport: 'auto'
        allowInsecure: false
      }
      dapr: {
        enabled: true
        appId: name
        appPort: 80
        appProtocol: 'http'
        // While the app does not answer, the sidecar holds alarms back instead of using up their retries.
        appHealth: {
          enabled: true
          path: '/api/health/live'
          probeIntervalSeconds: 5
          probeTimeoutMilliseconds: 1000
          threshold: 3
        }
      }
    }
    template: {
      terminationGracePeriodSeconds: 60
      containers: [
        {
          name: 'app'
          image: image
          resources: {
            cpu: json(cpu)
            memory: memory
          }
          env: [
            for setting in items(settings): {
              name: setting.key
              value: setting.value
            }
          ]
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/api/health/live'
                port: 80
              }
              periodSeconds: 5
              failureThreshold: 30
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/api/health/live'
                port: 80
              }
              periodSeconds: 10
              failureThreshold: 6
            }
          ]
        }
      ]
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
      }
    }
  }
  dependsOn: [puller]
}

// The probes answer whoever asks; everything else that comes from outside needs a token of the app registration, and an app role by its route.
resource signIn 'Microsoft.App/containerApps/authConfigs@2026-01-01' = if (!empty(image) && !empty(apiClientId)) {
  parent: app
  name: 'current'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      unauthenticatedClientAction: 'Return401'
      excludedPaths: ['/api/health/live', '/api/health/ready']
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: apiClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [apiClientId, 'api://${apiClientId}']
        }
      }
    }
  }
}

output name string = 'ca-${name}'
output url string = empty(image) ? '' : 'https://${app!.properties.configuration.ingress.fqdn}'
output registryServer string = registry.properties.loginServer
